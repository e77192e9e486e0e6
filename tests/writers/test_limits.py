"""Limits: just within one, a reader gives back what was written; one over it, an error says what, where and how much.

What would be gigabytes is holes, or slices of blobs that nobody reads; what would take long has a smaller limit here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import readers
from pipeline.inspect import listings
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Content, Device, Directory, Entry, File, Slice, Symlink, Tree, complete
from pipeline.ondisk.mbr import LINUX as LINUX_PARTITION
from pipeline.readers import Listing
from pipeline.spec import build
from pipeline.store import Store
from pipeline.writers import (
    FormatError,
    TooLarge,
    cpio,
    disk,
    erofs,
    erofsdata,
    erofsmeta,
    ext4,
    ext4dir,
    ext4inode,
    ext4layout,
    ext4tree,
    fat,
    fatname,
    gpt,
    iso9660,
    isodir,
    limits,
    mbr,
    pe,
    qcow2,
    qcow2compressed,
    rockridge,
    squashdata,
    squashfs,
    squashmeta,
    swap,
    syslinux,
    tar,
    vhd,
    vhdx,
    vmdk,
)
from tests.judges import need, run
from tests.writers import samples

IDENTITY = UUID(int=1)


def content_of(store: Store, write: Callable[..., Any]) -> Content:
    out = store.rope()
    first = write(out)
    return (store.content(first) if isinstance(first, bytes) else ()) + out.finish()


def an_iso(store: Store, tree: Tree, label: str = "NODE") -> Content:
    plan = iso9660.plan(tree, samples.keep(store))
    return content_of(store, lambda out: iso9660.write(plan, out, label))


def a_fat(store: Store, tree: Tree, label: str = "NODE", size: int | None = None) -> Content:
    plan = fat.plan(tree, size)
    boot = fat.boot_sector(plan, label, 1, 0)
    return content_of(store, lambda out: fat.write(plan, out, label, boot))


WRITERS: dict[str, Callable[[Store, Tree], Content]] = {
    "cpio": lambda store, tree: content_of(store, partial(cpio.write, tree)),
    "tar": lambda store, tree: content_of(store, partial(tar.write, tree)),
    "ext4": lambda store, tree: content_of(store, lambda out: ext4.write(tree, samples.keep(store), out) and None),
    "squashfs": lambda store, tree: content_of(
        store, lambda out: squashfs.write(tree, store.read, out, samples.blocks(store, "zstd:1"))
    ),
    "erofs": lambda store, tree: content_of(store, lambda out: erofs.write(tree, store.read, out, None)),
    "erofs of lz4": lambda store, tree: content_of(
        store, lambda out: erofs.write(tree, store.read, out, samples.lz4(store, 1))
    ),
    "iso9660": an_iso,
    "fat": a_fat,
}
LINUX = ("cpio", "ext4", "squashfs", "erofs", "iso9660")
"""What Linux reads a root from."""


def listing_of(store: Store, content: Content) -> Listing:
    """What a reader finds; content that is there by name alone is zeros."""
    there = [each if each.blob is None or store.has(each.blob) else Slice(None, 0, each.length) for each in content]
    found = readers.look_into(listings.of_content(store, tuple(there)))
    assert found is not None
    return found.listing


def only(entry: Entry, path: str = "it") -> Tree:
    return Tree({path: entry})


def file(uid: int = 0, gid: int = 0, mtime: int = EPOCH, xattrs: Any = (), content: Content = ()) -> File:
    return File(0o644, uid, gid, mtime, xattrs, content)


def hole(size: int) -> Content:
    return (Slice(None, 0, size),) if size else ()


def unread(size: int, name: str = "") -> Content:
    """Content that is there by name alone."""
    return (Slice(Digest.of(name.encode()), 0, size),)


def many(count: int, make: Callable[[int], Entry], name: str = "{:06}") -> Tree:
    return complete(Tree((name.format(number), make(number)) for number in range(count)))


class Case(NamedTuple):
    """writer: a key of WRITERS. limit: the largest value that has room. make: the tree for a value. says: what the
    error for one more says, besides the limit. patch: module, name and value of a limit that is smaller here."""

    writer: str
    limit: int
    make: Callable[[int], Tree]
    says: str
    patch: tuple[Any, str, int] | None = None


def device(**numbers: int) -> Tree:
    return only(Device(0o600, 0, 0, EPOCH, (), "c", **numbers))


def link(size: int) -> Tree:
    return only(Symlink(0o777, 0, 0, EPOCH, (), "/t" * (size // 2) + "t" * (size % 2)))


def attribute(size: int, name: str = "user.a") -> Tree:
    return only(file(xattrs=((name, bytes(size)),)))


def folders(count: int) -> Tree:
    """Directories of the root, the last of which has another in it."""
    names = [f"{number:06}" for number in range(count - 1)]
    return Tree((path, Directory(0o755, 0, 0, EPOCH)) for path in (*names, f"{names[-1]}/x"))


EXT4_OWN = 7
"""Blocks of the file system's own: superblock, descriptors, bitmaps, inodes, root and lost+found."""
CASES = [
    *(
        case
        for name in LINUX
        for case in (
            Case(name, limits.LARGEST_ID, lambda n: only(file(uid=n)), "it: user id"),
            Case(name, limits.LARGEST_ID, lambda n: only(file(gid=n)), "it: group id"),
            Case(name, limits.LARGEST_MAJOR, lambda n: device(major=n), "it: major number"),
            Case(name, limits.LARGEST_MINOR, lambda n: device(minor=n), "it: minor number"),
            Case(name, limits.LATEST, lambda n: only(file(mtime=n)), "it: time stamp"),
            Case(name, limits.LONGEST_TARGET, link, "it: a link's target"),
            Case(name, iso9660.LONGEST_NAME if name == "iso9660" else limits.LONGEST_NAME,
                 lambda n: only(file(), "n" * n), "a name of"),
        )
    ),
    *(
        Case(name, limits.LONGEST_ATTRIBUTE, lambda n: attribute(1, "user.".ljust(n, "a")), "it: the name")
        for name in ("ext4", "squashfs", "erofs")
    ),
    Case("squashfs", limits.LARGEST_ATTRIBUTE, attribute, "it: extended attribute user.a of"),
    Case("erofs", erofsmeta.LARGEST_VALUE, attribute, "it: extended attribute user.a of"),
    Case("ext4", ext4inode.LARGEST_ATTRIBUTES - 20, attribute,
         f"it: extended attributes of {ext4inode.LARGEST_ATTRIBUTES + 4} bytes"),
    Case("erofs", erofsmeta.LARGEST_RECORD - 12 - 4 * 60_008 - 5,
         lambda n: only(file(xattrs=tuple((f"user.{k}", bytes(60_000 if k else n)) for k in range(5)))),
         "it: extended attributes of"),
    Case("cpio", cpio.LARGEST_FILE, lambda n: only(file(content=hole(n))), "it: "),
    Case("cpio", cpio.LONGEST_PATH, lambda n: complete(only(file(), ("d" * 249 + "/") * 16 + "n" * (n - 4000))),
         "a path of"),
    Case("tar", tar.LARGEST_DEVICE, lambda n: device(major=n), "it: device"),
    Case("tar", tar.LARGEST_DEVICE, lambda n: device(minor=n), "it: device"),
    Case("tar", tar.LARGEST_RECORDS - 29, attribute, "it: names and extended attributes of 1048577 bytes"),
    Case("ext4", ext4.LARGEST_FILE, lambda n: only(file(content=hole(n))), "it: "),
    Case("ext4", ext4tree.MOST_LINKS, lambda n: many(n, lambda _: file()._replace(inode="000000")),
         "000000: 65001 names"),
    Case("ext4", 4096, lambda n: only(file(content=unread((n - EXT4_OWN) * 4096))), "a file system of",
         (ext4layout, "MOST_BLOCKS", 4096)),
    Case("squashfs", squashfs.MOST_IDS, lambda n: many(n, lambda each: file(uid=each)), "user or group id"),
    Case("squashfs", 3 * squashdata.BLOCK, lambda n: only(file(content=hole(n))), "it: ",
         (squashfs, "LARGEST_FILE", 3 * squashdata.BLOCK)),
    Case("squashfs", 3, lambda n: many(n * 500, lambda _: file(), "d/{:06}" + "x" * 24), "d: names in",
         (squashfs, "MOST_INDEXES", 11)),
    Case("erofs", erofs.LARGEST_FILE, lambda n: only(file(content=hole(n))), "it: "),
    Case("erofs", erofsdata.MOST_BLOCKS, lambda n: only(file(content=unread((n - 2) * erofsdata.BLOCK))),
         "a file system of"),
    Case("iso9660", iso9660.LARGEST_FILE, lambda n: only(file(content=hole(n))), "it: "),
    Case("iso9660", 30, folders, "directory 31, with others in it", (iso9660, "MOST_FOLDERS", 30)),
    Case("fat", 5 << 20, lambda n: only(file(content=hole(n))), "it: ", (fat, "LARGEST_FILE", 5 << 20)),
    Case("fat", fatname.LONGEST, lambda n: only(file(), "n" * n), "a name of"),
    Case("fat", 3000, lambda n: many(n - 2, lambda _: file(), "D/{:06}"), "D: names in",
         (fatname, "MOST_RECORDS", 3000)),
]  # fmt: skip


@contextmanager
def limited(patch: tuple[Any, str, int] | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        if patch:
            patched.setattr(*patch)
        yield


def named(case: Case) -> str:
    return f"{case.writer}: {case.says}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_limit(store: Store, case: Case) -> None:
    with limited(case.patch):
        tree = case.make(case.limit)
        found = listing_of(store, WRITERS[case.writer](store, tree))
        for path in tree:
            assert path in found or path == "lost+found", path
        with pytest.raises(FormatError, match=case.says) as caught:
            WRITERS[case.writer](store, case.make(case.limit + 1))
    said = str(caught.value)
    assert "\n" not in said
    assert caught.type is TooLarge or ": " in said.split(";", 1)[1], "the limit, and what to do"


@pytest.mark.parametrize("name", LINUX)
@pytest.mark.parametrize(("entry", "says"), [
    (file(uid=-1), "user id -1"), (file(gid=-1), "group id -1"), (file(mtime=-(1 << 63) - 1), "time stamp -"),
    (Device(0o600, 0, 0, 0, (), "b", -1, 0), "major number -1"),
    (Device(0o600, 0, 0, 0, (), "b", 0, -1), "minor number -1"),
    (Symlink(0o777, 0, 0, 0, (), ""), "without a target"),
])  # fmt: skip
def test_what_is_below_every_limit(store: Store, name: str, entry: Entry, says: str) -> None:
    with pytest.raises(FormatError, match=f"it: .*{says}"):
        WRITERS[name](store, only(entry))


def test_a_disc_of_many_blocks(store: Store) -> None:
    """Files by name alone, of which the last one fills the disc."""

    def tree(last: int) -> Tree:
        sizes = [isodir.LARGEST_FILE] * 20 + [last * isodir.BLOCK]
        return Tree((f"{number:02}", file(content=unread(size, str(number)))) for number, size in enumerate(sizes))

    most = isodir.MOST_BLOCKS
    some = most - 20 * (isodir.LARGEST_FILE // isodir.BLOCK) - 1000
    last = some + most - iso9660.plan(tree(some), samples.keep(store)).end
    assert iso9660.plan(tree(last), samples.keep(store)).end == most
    assert "20" in listing_of(store, an_iso(store, tree(last)))
    for more in (1, 1 << 20):
        with pytest.raises(FormatError, match=f"ISO 9660 has room for {most * isodir.BLOCK}: make the node smaller"):
            iso9660.plan(tree(last + more), samples.keep(store))


@pytest.mark.slow
def test_a_disc_of_many_directories(store: Store) -> None:
    assert f"{iso9660.MOST_FOLDERS - 2:06}/x" in listing_of(store, an_iso(store, folders(iso9660.MOST_FOLDERS)))
    with pytest.raises(FormatError, match=r"directory 65536, with others in it; .* 65535"):
        an_iso(store, folders(iso9660.MOST_FOLDERS + 1))
    flat = many(70_000, lambda _: Directory(0o755, 0, 0, 0))
    assert flat.keys() <= listing_of(store, an_iso(store, flat)).keys(), "no other directory lies in the last ones"


def test_attributes_that_have_no_place(store: Store) -> None:
    for name, key in (("tar", "user.a=b"), ("ext4", "lustre.x"), ("squashfs", "system.x"), ("erofs", "lustre.x")):
        with pytest.raises(FormatError, match=f"it: extended attribute {key}; {name} has room for .*: leave it out"):
            WRITERS[name](store, only(file(xattrs=((key, b"v"),))))


def test_a_table_of_squashfs_ends_where_references_do(store: Store) -> None:
    tree = many(600, lambda n: Symlink(0o777, 0, 0, EPOCH, (), samples.noise(500, str(n)).hex()))
    with limited((squashmeta, "LARGEST_TABLE", 1 << 19)):
        assert tree.keys() <= listing_of(store, WRITERS["squashfs"](store, tree)).keys()
    with limited((squashmeta, "LARGEST_TABLE", 1 << 18)), pytest.raises(FormatError, match="room for 262144"):
        WRITERS["squashfs"](store, tree)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "tar"])
def test_a_file_that_no_structure_has_room_for(store: Store, name: str) -> None:
    structure = {"cpio": cpio, "ext4": ext4, "squashfs": squashfs, "iso9660": iso9660, "fat": fat}.get(name, erofs)
    for size in (structure.LARGEST_FILE + 1, 1 << 63):
        with pytest.raises(TooLarge, match=f"it: {size} bytes; .* at most {structure.LARGEST_FILE}$"):
            WRITERS[name](store, only(file(content=hole(size))))


def test_names_of_an_ext4_directory() -> None:
    leaf = ext4dir.Leaf(0, [])
    assert ext4dir.count([leaf] * ext4dir.MOST_LEAVES, "d") > ext4dir.MOST_LEAVES
    with pytest.raises(FormatError, match=f"d: names in .* room for {ext4dir.MOST_LEAVES} .*: spread"):
        ext4dir.count([leaf] * (ext4dir.MOST_LEAVES + 1), "d")


def test_a_fat_root_that_only_fat32_has_room_for(store: Store) -> None:
    within = fat.plan(many(16 * fat.LARGEST_ROOT - 2, lambda _: file()))
    assert within.geometry.bits == 16
    over = many(16 * fat.LARGEST_ROOT - 1, lambda _: file())
    assert fat.plan(over).geometry.bits == 32
    assert over.keys() <= listing_of(store, a_fat(store, over)).keys()


def test_a_fat_volume_s_sectors() -> None:
    plan = fat.plan(Tree(), fat.MOST_SECTORS * 512)
    assert fat.boot_sector(plan, "", 1, fat.MOST_SECTORS)[32:36] == b"\xff" * 4
    with pytest.raises(FormatError, match=f"room for {fat.MOST_SECTORS * 512}"):
        fat.plan(Tree(), (fat.MOST_SECTORS + 1) * 512)
    with pytest.raises(FormatError, match=f"room for {fat.MOST_SECTORS * 512}"):
        fat.boot_sector(plan, "", 1, fat.MOST_SECTORS + 1)
    with pytest.raises(FormatError, match=f"room for {fat.MOST_SECTORS * 512}"):
        fat.plan(many(600, lambda _: file(content=hole(fat.LARGEST_FILE))))


LABELS = {
    "ext4": (16, lambda store, label: ext4.write(Tree(), samples.keep(store), store.rope(), label=label)),
    "ISO 9660": (32, lambda store, label: an_iso(store, Tree(), label)),
    "FAT": (11, lambda store, label: a_fat(store, Tree(), label)),
    "swap": (15, lambda store, label: swap.write(1 << 20, store.rope(), label, IDENTITY)),
    "GUID": (36, lambda store, label: gpt.write([gpt_partition(label)], 1 << 20, IDENTITY)),
}


def gpt_partition(name: str, first: int = 2048) -> gpt.GptPartition:
    return gpt.GptPartition(first, 1, gpt.LINUX_DATA, IDENTITY, name)


@pytest.mark.parametrize("name", LABELS)
def test_labels(store: Store, name: str) -> None:
    most, write = LABELS[name]
    write(store, "L" * most)
    with pytest.raises(FormatError, match=f"{name}.* {most} ?.*: shorten it"):
        write(store, "L" * (most + 1))


def test_partitions() -> None:
    gpt.write([gpt_partition(f"{number}", 2048 + number) for number in range(gpt.ENTRIES)], 1 << 20, IDENTITY)
    with pytest.raises(FormatError, match=r"129 partitions; .* 128"):
        gpt.write([gpt_partition(f"{number}") for number in range(gpt.ENTRIES + 1)], 1 << 20, IDENTITY)
    gpt.write([gpt_partition("last", (1 << 20) - gpt.TAIL - 1)], 1 << 20, IDENTITY)
    for sectors in (1 << 20, 1):
        with pytest.raises(FormatError, match=r"the disk has room for .*: give it another size"):
            gpt.write([gpt_partition("last", (1 << 20) - gpt.TAIL)], sectors, IDENTITY)
    mbr.record([mbr.MbrPartition(mbr.MOST_SECTORS, mbr.MOST_SECTORS, LINUX_PARTITION)] * mbr.MOST, 0, bytes(mbr.CODE))
    with pytest.raises(FormatError, match=r"5 partitions; .* 4: .*raw-efi"):
        mbr.record([mbr.MbrPartition(1, 1, LINUX_PARTITION)] * 5, 0)
    with pytest.raises(FormatError, match=r"boot code of 441 bytes; .* 440"):
        mbr.record([], 0, bytes(mbr.CODE + 1))
    for place in ((1, mbr.MOST_SECTORS + 1), (mbr.MOST_SECTORS + 1, 1)):
        with pytest.raises(FormatError, match=f"partition 2: .* room for {mbr.MOST_SECTORS * 512}"):
            mbr.record([mbr.MbrPartition(1, 1, LINUX_PARTITION), mbr.MbrPartition(*place, LINUX_PARTITION)], 0)


def test_volumes_beyond_the_end_of_their_disk(store: Store) -> None:
    with pytest.raises(FormatError, match="give it another size"):
        mbr.write_disk([mbr.MbrVolume(hole(2 << 20), LINUX_PARTITION)], 2 << 20, store.rope(), disk.identity)
    with pytest.raises(FormatError, match="give it another size"):
        gpt.write_disk([gpt.GptVolume(hole(2 << 20), "a", gpt.LINUX_DATA)], 3 << 20, store.rope(), disk.identity)


@pytest.mark.parametrize(("name", "write"), [
    ("fat", lambda store, size: a_fat(store, Tree(), "", size)),
    ("ext4", lambda store, size: ext4.write(Tree(), samples.keep(store), store.rope(), size, journal=True)),
    ("swap", lambda store, size: swap.write(size, store.rope(), "", IDENTITY)),
])  # fmt: skip
def test_the_smallest_partitions(store: Store, name: str, write: Callable[[Store, int], Any]) -> None:
    least = build.LEAST_SIZE[name]
    for size in (*range(least, least + 40), 64, 65, 128):
        write(store, size << 20)
    if name != "swap":
        with pytest.raises(FormatError, match=r"give .*another size"):
            write(store, (least - 1) << 20)


def test_swap(store: Store) -> None:
    out = store.rope()
    swap.write(swap.MOST_PAGES * swap.PAGE, out, "", IDENTITY)
    assert samples.read(store, out.finish()[:1])[1028:1032] == b"\xff" * 4
    for size in (swap.MOST_PAGES * swap.PAGE + swap.PAGE, swap.FEWEST_PAGES * swap.PAGE - 1):
        with pytest.raises(FormatError, match=f"a swap area of {size} bytes; Linux takes"):
            swap.write(size, store.rope(), "", IDENTITY)


def packed(content: Content, store: Store, out: Any) -> None:
    body = store.rope()
    out.write(qcow2compressed.write(content, samples.clusters(store, "zstd:1"), body))
    out.extend(body.finish())


IMAGES = {
    "qcow2": ("qcow2", qcow2.LARGEST, lambda content, store, out: qcow2.write(content, out)),
    "qcow2 of zstd": ("qcow2", qcow2.LARGEST, packed),
    "dynamic-vhd": ("vpc", vhd.LARGEST, lambda content, store, out: vhd.write_dynamic(content, out, IDENTITY)),
    "vmdk": ("vmdk", vmdk.LARGEST, lambda content, store, out: vmdk.write(content, samples.grains(store), out, 1)),
    "vhd": ("", vhd.LARGEST, lambda content, store, out: vhd.write_fixed(content, out, IDENTITY)),
    "vhdx": ("vhdx", vhdx.LARGEST, lambda content, store, out: vhdx.write(content, out, disk.identity)),
}


@pytest.mark.parametrize("name", [
    *(name for name in IMAGES if name != "vhdx"),
    pytest.param("vhdx", marks=pytest.mark.slow),  # a table of 512 MiB
])  # fmt: skip
def test_disk_images(store: Store, tmp_path: Any, name: str) -> None:
    kind, largest, write = IMAGES[name]
    content = content_of(store, partial(write, hole(largest), store))
    if kind:
        store.export(content, tmp_path / "image")
        found = run(need("qemu-img", "qemu-utils"), "info", "-f", kind, "--output=json", tmp_path / "image").stdout
        assert json.loads(found)["virtual-size"] == largest
        (tmp_path / "image").unlink()
    else:
        assert listing_of(store, content)["disk"].content.size == largest
    with pytest.raises(FormatError, match=f"{largest + 512} bytes; .* has room for {largest}: make it smaller"):
        write(hole(largest + 512), store, store.rope())


def test_the_file_of_a_vmdk_may_be_larger_than_its_disk(store: Store) -> None:
    """As it would be after 2 TiB of what does not compress."""
    for place, room in ((vmdk.MOST_SECTORS - 200, True), (vmdk.MOST_SECTORS, False)):
        out = store.rope()
        out.zeros(place * 512 - vmdk.OVERHEAD * 512 + (0 if room else 512))
        write = partial(vmdk.write, store.content(b"x" * vmdk.GRAIN), samples.grains(store), out, 1)
        if room:
            write()
        else:
            with pytest.raises(FormatError, match=f"room for {vmdk.MOST_SECTORS * 512}"):
                write()


STUB = pe.Stub(bytes(1024), 0x8664, 64, 88, 328, (), 4096, 512, 4096)


def test_an_efi_program(store: Store) -> None:
    stub = STUB._replace(data=bytearray(STUB.data[:148]) + (1024).to_bytes(4, "little") + STUB.data[152:])
    place = 4096  # of the first section, in memory, which is further than in the file
    largest = pe.LARGEST + 1 - place - 4096
    for name, size in ((".initrd", largest), ("12345678", 1)):
        pe.write(stub, [(name, hole(size))], lambda content: 0, store.rope())
    with pytest.raises(FormatError, match=f"section .initrd that ends at .* room for {pe.LARGEST}"):
        pe.write(stub, [(".initrd", hole(largest + 1))], lambda content: 0, store.rope())
    with pytest.raises(FormatError, match=r"section .initrd that ends"):
        pe.write(stub, [(".initrd", hole(1 << 33))], lambda content: 0, store.rope())
    with pytest.raises(FormatError, match="names of 8 bytes"):
        pe.write(stub, [("123456789", hole(1))], lambda content: 0, store.rope())


def test_a_loader_without_room_for_its_map() -> None:
    system = bytearray(4 * 512)
    system[0:4] = syslinux.MAGIC
    system[22:24] = (64).to_bytes(2, "little")
    for index, value in enumerate((0, 0, 0, 0, 0, 128, 0, 0, 0)):
        system[64 + 2 * index : 66 + 2 * index] = value.to_bytes(2, "little")
    with pytest.raises(FormatError, match="4 sectors; it has room for 0"):
        syslinux.install(syslinux.Loader(bytes(512), bytes(system), b""), bytes(512), 1)


# any facts

AROUND = [0, 1, 255, 256, 4095, 4096, 65535, 65536, 1 << 18, (1 << 20) - 1, 1 << 20, 0o7777777, 0o10000000]
AROUND += [(1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, 1 << 34, (1 << 63) - 1, 1 << 63, 1 << 70]
numbers = st.one_of(st.sampled_from([*AROUND, *(-each for each in AROUND)]), st.integers())
LARGEST_HOLE = 1 << 62
"""An archive of more is no file that Linux has."""
sizes = st.sampled_from([1, 11, 12, 59, 60, 99, 100, 247, 248, 249, 250, 253, 254, 255, 256, 1000, 4095, 4096, 65536])
keys = st.sampled_from([
    "user.", "user.a", "trusted.b", "security.c", "system.d", "system.posix_acl_access", "x", "user.=",
    "user." + "a" * 250, "user." + "a" * 251,
])  # fmt: skip
attributes = st.dictionaries(keys, sizes.map(bytes), max_size=3).map(lambda found: tuple(sorted(found.items())))
heads = st.tuples(st.integers(0, 0o7777), numbers, numbers, numbers, attributes)
entries = st.one_of(
    heads.map(lambda head: Directory(*head)),
    st.tuples(heads, st.one_of(numbers.map(abs).map(LARGEST_HOLE.__rmod__), sizes)).map(
        lambda both: File(*both[0], hole(both[1]))
    ),
    st.tuples(heads, sizes).map(lambda both: Symlink(*both[0], "t" * both[1])),
    st.tuples(heads, st.sampled_from("cbp"), numbers, numbers).map(lambda all: Device(*all[0], *all[1:])),
)
TIMES = {
    "cpio": (0, cpio.LATEST), "squashfs": (0, squashfs.LATEST), "ext4": (ext4inode.EARLIEST, ext4inode.LATEST),
    "erofs": (limits.EARLIEST, limits.LATEST), "erofs of lz4": (limits.EARLIEST, limits.LATEST),
}  # fmt: skip
"""First and last time stamp of each; what is outside is moved there. (ISO 9660's and FAT's have tests of their own.)"""
SPARSE_LIMIT = 1 << 30
"""Files that are read back; a larger hole takes squashfs and LZ4 long."""


@given(entry=entries, size=sizes)
@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_facts_come_back_or_are_refused(store: Store, name: str, entry: Entry, size: int) -> None:
    if name == "squashfs" and type(entry) is File and SPARSE_LIMIT < entry.size <= squashfs.LARGEST_FILE:
        return
    path = "n" * size
    try:
        content = WRITERS[name](store, only(entry, path))
    except FormatError as error:
        assert "\n" not in str(error)
        return
    facts = listing_of(store, content)[path].properties
    if name in ("fat", "iso9660"):
        return
    first, last = TIMES.get(name, (entry.mtime, entry.mtime))
    assert (facts["uid"], facts["gid"]) == (entry.uid, entry.gid)
    assert int(float(facts["mtime"])) == pytest.approx(min(max(entry.mtime, first), last))
    if type(entry) is Symlink:
        assert facts["target"] == entry.target
    if type(entry) is Device and entry.kind != "p" and name != "ext4":
        assert str(facts["device"]).endswith(f"{entry.major}:{entry.minor}")
    if name not in ("cpio", "tar"):
        found = {key: value for key, value in facts.items() if key.startswith("xattr ")}
        assert found == {f"xattr {key}": value.hex() for key, value in entry.xattrs}


@pytest.mark.parametrize(("mtime", "year"), [(-(1 << 63), 1970), (-1, 1970), (rockridge.LATEST + 1, 2155)])
def test_times_that_a_disc_cannot_say_are_moved(store: Store, mtime: int, year: int) -> None:
    facts = listing_of(store, an_iso(store, only(file(mtime=mtime))))["it"].properties
    assert str(facts["recorded"]).startswith(str(year))
