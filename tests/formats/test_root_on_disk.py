"""The boot RAM disk, and the disk of the format ext4: what is in them."""

import json
import re

import pytest

from pipeline import readers
from pipeline.language.problem import StageProblem
from pipeline.model.tree import Tree, complete, files
from pipeline.readers.view import HostFile
from pipeline.stages import initramfs
from pipeline.writers import FormatError, disk, tar
from tests.formats import node
from tests.judges import need, run


@pytest.fixture(scope="module")
def image(store, tmp_path_factory):
    root = Tree({**store.tree(node.rootfs(store)), **files([("boot/kernel", store.content(b"left out"))])})
    known = node.products(store) | {"rootfs": lambda: store.put_tree(complete(root).ordered())}
    return node.output(store, node.make(store, "ext4", known), "-ext4.img", tmp_path_factory.mktemp("ext4"))


def partition(image, number):
    return readers.look_into(HostFile(image)).listing[f"partition {number}"]


def test_the_command_line_names_the_root(image):
    boot = readers.look_into(partition(image, 1).content).listing
    line = boot["syslinux.cfg"].content.read(0, 1000).decode()
    identity = partition(image, 2).properties["GUID"]
    assert f"{node.CMDLINE.decode()} root=PARTUUID={identity} rootfstype=ext4 ro\n" in line
    program = readers.look_into(boot["EFI/BOOT/BOOTX64.EFI"].content).listing
    assert f"root=PARTUUID={identity}".encode() in program[".cmdline"].content.read(0, 1000)
    assert program[".initrd"].content.size == boot["initrd.img"].content.size


def test_the_root_is_a_file_system_without_what_boots(image, tmp_path):
    root = partition(image, 2).content
    (tmp_path / "root").write_bytes(root.read(0, root.size))
    run(need("e2fsck", "e2fsprogs"), "-fn", tmp_path / "root")
    listing = readers.look_into(root).listing
    assert {"bin/busybox", "sbin/init"} < set(listing)
    assert "boot/kernel" not in listing
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", image).stdout


def test_the_size_is_that_of_the_disk(store, tmp_path):
    made = node.make(store, "ext4", node.products(store), size="200M")
    path = node.output(store, made, "-ext4.img", tmp_path)
    assert path.stat().st_size == 200 * disk.MIB
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", path).stdout
    for size in ("3M", "30M"):
        with pytest.raises(FormatError, match="size"):
            node.make(store, "ext4", node.products(store), size=size)


PARTITIONS = [{"label": "BOOT", "size": "80M"}, {"label": "swap", "size": "8M", "format": "swap"},
              {"label": "data", "format": "ext4"}]  # fmt: skip


@pytest.mark.parametrize("name", ["ext4", "ext4-efi"])
def test_more_partitions_lie_behind_the_root(store, tmp_path, name):
    path = node.disk(store, name, tmp_path, size="300M", partitions=PARTITIONS)
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", path).stdout
    rows = json.loads(run(need("sfdisk", "fdisk"), "--json", path).stdout)["partitiontable"]["partitions"]
    assert [row["name"] for row in rows] == ["BOOT", "root", "swap", "data"]
    end = rows[1]["start"] + rows[1]["size"]
    assert [row["start"] for row in rows] == [2048, 81 * 2048, end, end + 8 * 2048]
    assert (rows[3]["start"] + rows[3]["size"]) // 2048 == 299
    for number in (2, 4):
        root = partition(path, number).content
        (tmp_path / "fs").write_bytes(root.read(0, root.size))
        run(need("e2fsck", "e2fsprogs"), "-fn", tmp_path / "fs")
    boot = readers.look_into(partition(path, 1).content).listing
    program = readers.look_into(boot["EFI/BOOT/BOOTX64.EFI"].content).listing
    assert rows[1]["uuid"].lower().encode() in program[".cmdline"].content.read(0, 1000)
    with pytest.raises(StageProblem, match=r"90M is too small: partition [23] would start at"):
        node.make(store, name, node.products(store), size="90M", partitions=PARTITIONS)
    with pytest.raises(StageProblem) as caught:
        node.make(store, name, node.products(store), partitions=[{"size": "3M"}, PARTITIONS[1]])
    assert caught.value.path == ("partitions", 0, "size")


def kernel_image(store, contents):
    out = store.rope()
    tar.write(complete(contents), out)
    return store.put_tree(files([("kernel.tar", out.finish())]))


def test_a_kernel_without_modules_needs_none(store):
    image = kernel_image(store, files([("lib/firmware/some", store.content(b"x"))]))
    for found in (initramfs.modules(store, image, tar="kernel.tar"), initramfs.modules(store, tar="")):
        assert store.tree(found) == Tree()


def test_modules_come_with_what_they_need_and_their_data(store):
    package = node.kernel_package()
    chosen = node.modules("sr_mod", "virtio_blk", "overlay")
    entries = {str(path.relative_to(package)): node.host(store, path) for path in chosen}
    image = kernel_image(store, Tree(entries).ordered())
    found = store.tree(initramfs.modules(store, image, tar="kernel.tar"))
    names = {path.rpartition("/")[2] for path in found}
    assert {"cdrom.ko", "scsi_mod.ko", "sr_mod.ko", "virtio_blk.ko", "modules.dep", "modules.alias.bin"} <= names
    assert "overlay.ko" not in names
    (data,) = (store.bytes(entry.content).decode() for path, entry in found.items() if path.endswith("modules.dep"))
    assert re.search(r"^kernel/drivers/scsi/sr_mod.ko:.* kernel/drivers/cdrom/cdrom.ko", data, re.MULTILINE)


def test_the_ramdisk_has_tools_and_nothing_else(store):
    init = files((path, store.content(b"x")) for path in (
        "usr/bin/busybox", "sbin/modprobe", "usr/lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2",
        "usr/bin/lua5.3", "usr/lib/x86_64-linux-gnu/libreadline.so.8", "etc/passwd", "init", initramfs.MOUNT_ROOT,
    ))  # fmt: skip
    found = store.tree(initramfs.ramdisk(store, store.put_tree(Tree()), store.put_tree(complete(init))))
    assert found["init"].target == initramfs.MOUNT_ROOT
    tools = {"usr/bin/busybox", "sbin/modprobe", "usr/lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"}
    assert tools < set(found)
    assert not {"usr/bin/lua5.3", "usr/lib/x86_64-linux-gnu/libreadline.so.8", "etc/passwd"} & set(found)


def test_an_init_that_cannot_mount_is_refused(store):
    nothing = store.put_tree(Tree())
    with pytest.raises(FormatError, match="mount-root"):
        initramfs.ramdisk(store, nothing, nothing)
