"""What the kernel finds in read-only file systems, mounted in one machine: every entry, all bytes, all attributes."""

import hashlib
import re
import stat

import pytest

from pipeline.model.tree import Device, Directory, File, Slice, Symlink, Tree, complete
from pipeline.stages import initrd
from pipeline.writers import erofs, squashfs
from tests.formats import machine, node
from tests.writers import samples

pytestmark = pytest.mark.boot

KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
SCRIPT = """#!/bin/busybox sh
cd /; b=/bin/busybox
$b mount -t devtmpfs dev /dev
for disk in {disks}; do
    $b mount -t ${{disk#*:}} -o ro /dev/${{disk%:*}} /mnt
    cd /mnt; echo "begin $disk"
    for name in {twins}; do $b sha256sum ./$name & done; wait
    $b find . -exec $b stat -c "entry|%n|%f|%u|%g|%Y|%h|%t|%T|%s" {{}} +
    $b find . -type f -exec $b sha256sum {{}} +
    getfattr -Rhd -m - -e hex .
    cd /; echo "end $disk"; $b umount /mnt
done
echo {up}
$b poweroff -f
"""
TWINS = ("twins/a", "twins/b", "twins/c")


def everything(store):
    """A tree with all there is, without names that a console spoils."""
    bottles = b"".join(b"%d bottles\n" % number for number in range(90_000))
    tree = Tree({path: entry for path, entry in samples.special(store).items() if path.isprintable()})
    more = {
        "mixed": store.content(samples.noise(300_001) + bottles[:300_000] + samples.noise(9000, "more")),
        "sparse": (*store.content(samples.noise(5000)), Slice(None, 0, 70_000_000), *store.content(b"end")),
        **{f"sizes/{size}": store.content(bottles[:size]) for size in (4032, 4096, 4097, 8191, 8192, 131_073, 135_168)},
        **{name: store.content(bottles) for name in TWINS},
        **{f"many/a file with the number {number}": store.content(b"%d" % number) for number in range(3000)},
    }
    tree |= {path: File(0o644, 70_000, 0, 5, (), content) for path, content in more.items()}
    capability = (("security.capability", bytes.fromhex("0100000200200000") + bytes(12)), ("user.c", b"3"))
    tree["bin/other"] = File(0o755, 0, 0, samples.WHEN, capability, store.content(b"other"))
    return complete(tree.ordered())


def expected(store, tree):
    """What the script prints of `tree`, as sets of lines."""
    links = {}
    for path, entry in tree.items():
        name = entry.inode if type(entry) is File and entry.inode else path
        links[name] = links.get(name, 0) + 1
        if type(entry) is Directory:
            links[path] += 1
            if path:
                above = path.rpartition("/")[0]
                links[above] = links.get(above, 0) + 1
    lines = set()
    for path, entry in tree.items():
        shown = "./" + path if path else "."
        kind, size, device = stat.S_IFDIR, "", (0, 0)
        if isinstance(entry, File):
            kind, size = stat.S_IFREG, entry.size
            lines.add(f"{hashlib.sha256(samples.read(store, entry.content)).hexdigest()}  {shown}")
        elif isinstance(entry, Symlink):
            kind, size = stat.S_IFLNK, len(entry.target)
        elif isinstance(entry, Device):
            kind, size, device = KINDS[entry.kind], 0, (entry.major, entry.minor)
        links_of = links[entry.inode if isinstance(entry, File) and entry.inode else path]
        facts = f"{entry.uid}|{entry.gid}|{entry.mtime}|{links_of}|{device[0]:x}|{device[1]:x}|{size}"
        lines.add(f"entry|{shown}|{kind | entry.mode:x}|{facts}")
        lines |= {f"{path} {name}=0x{value.hex()}" for name, value in entry.xattrs}
    return lines


def found(text):
    """The same from the console."""
    lines, file = set(), ""
    for line in text.splitlines():
        if line.startswith("# file: "):
            file = line[8:]
        elif re.match(r"(user|security|trusted)\.", line):
            lines.add(f"{file} {line}")
        elif line.startswith("entry|"):
            words = line.split("|")
            lines.add("|".join([*words[:-1], "" if words[2].startswith("4") else words[-1]]))
        elif re.match(r"[0-9a-f]{64}  ", line):
            lines.add(line)
    return lines


def disk(store, tree, kind, packing, path):
    out = store.rope()
    if kind == "erofs":
        first = erofs.write(tree, store.read, out, packing)
    else:
        first = squashfs.write(tree, store.read, out, packing)
    store.export(store.content(first) + out.finish(), path)
    return path


def test_the_kernel_finds_what_was_written(store, tmp_path):
    tree = everything(store)
    disks = [("erofs", None), ("erofs", samples.lz4(store, 9)), ("squashfs", samples.blocks(store, "zstd:3"))]
    words = []
    for number, (kind, packing) in enumerate(disks):
        path = disk(store, tree, kind, packing, tmp_path / f"disk{number}")
        words += ["-drive", f"file={path},format=raw,if=virtio,snapshot=on"]
    names = [f"vd{'abc'[number]}:{kind}" for number, (kind, _) in enumerate(disks)]
    script = SCRIPT.format(disks=" ".join(names), twins=" ".join(TWINS), up=node.UP)
    store.export(store.tree(ramdisk(store, script))["fragment"].content, tmp_path / "initrd")
    kernel = node.output(store, store.put_tree(Tree({"-k": store.tree(node.kernel(store))["kernel"]})), "-k", tmp_path)
    (tmp_path / "cmdline").write_bytes(node.CMDLINE)
    console = machine.boot_kernel(kernel, tmp_path / "initrd", tmp_path / "cmdline", *words)
    for name in names:
        text = console.partition(f"begin {name}")[2].partition(f"end {name}")[0]
        assert found(text) == expected(store, tree), name


def ramdisk(store, script):
    """An initrd with the modules of both file systems and getfattr, whose /init is `script`."""
    paths = node.modules("virtio_pci", "virtio_blk", "erofs", "squashfs")
    lines = script.splitlines(keepends=True)
    lines[1:1] = [f"/bin/busybox insmod /{path.name}\n" for path in paths]
    tree = Tree(store.tree(node.rootfs(store, "".join(lines).encode())))
    tree |= {path.name: node.host(store, path) for path in paths}
    for package, path in (
        ("attr", "usr/bin/getfattr"),
        ("libattr1", "usr/lib/x86_64-linux-gnu/libattr.so.1"),
        ("libc6", "lib/x86_64-linux-gnu/libc.so.6"),
        ("libc6", "lib64/ld-linux-x86-64.so.2"),
    ):
        tree[path.removeprefix("usr/")] = node.host(store, node.package(package) / path, 0o755)
    tree["mnt"] = Directory(0o755, 0, 0, 0)
    return initrd.fragment(store, store.put_tree(complete(tree.ordered())), compress="zstd:1")
