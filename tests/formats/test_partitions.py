"""Disks with more than the partition that is booted: others' tools read the tables and what is in the partitions."""

import json
import uuid

import pytest

from pipeline.language.problem import StageProblem
from pipeline.model.tree import Tree
from pipeline.stages import initrd
from pipeline.writers import gpt
from tests.formats import machine, node
from tests.judges import need, run

MIB = 1 << 20
ROOT_X86_64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
"""Discoverable Partitions Specification."""
PARTITIONS = [
    {"label": "BOOT", "size": "80M"},
    {"label": "data", "size": "40M", "format": "ext4"},
    {"label": "swapped", "size": "8M", "format": "swap"},
    {"label": "rest", "type": ROOT_X86_64},
]
DISKS = ("raw-bios", "raw-efi", "raw-hybrid")


def made(store, folder, name, **options):
    return node.disk(store, name, folder, **options)


@pytest.fixture(scope="module")
def disks(store, tmp_path_factory):
    """Each kind of disk with PARTITIONS, 200 MiB."""
    folder = tmp_path_factory.mktemp("disks")
    return {name: made(store, folder, name, size="200M", label="NAME", partitions=PARTITIONS) for name in DISKS}


def table(path):
    found = json.loads(run(need("sfdisk", "fdisk"), "--json", path).stdout)["partitiontable"]
    return found["label"], found["partitions"]


def blkid(path, row):
    """What blkid finds in the partition `row` of sfdisk's table."""
    place = ["--offset", row["start"] * 512, "--size", row["size"] * 512]
    told = run(need("blkid", "util-linux"), "--probe", "--output", "export", *place, path).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def cut_out(path, row, target):
    with path.open("rb") as disk:
        disk.seek(row["start"] * 512)
        target.write_bytes(disk.read(row["size"] * 512))
    return target


@pytest.mark.parametrize("name", DISKS)
def test_what_is_where(disks, name):
    kind, rows = table(disks[name])
    whole, tail = 200, 0 if name == "raw-bios" else 1
    assert kind == ("dos" if name == "raw-bios" else "gpt") and disks[name].stat().st_size == whole * MIB
    assert [row["size"] // 2048 for row in rows] == [80, 40, 8, whole - 80 - 40 - 8 - 1 - tail]
    assert [row["start"] // 2048 for row in rows] == [1, 81, 121, 129]
    found = [blkid(disks[name], row) for row in rows[:3]]
    assert [each["TYPE"] for each in found] == ["vfat", "ext4", "swap"]
    assert [each["LABEL"] for each in found] == ["BOOT", "data", "swapped"]
    assert len({each["UUID"] for each in found}) == 3


def test_a_boot_record_says_the_kinds(disks):
    _, rows = table(disks["raw-bios"])
    assert [row["type"] for row in rows] == ["c", "83", "82", "83"] and rows[0]["bootable"]
    assert "Disklabel type: dos" in run(need("fdisk"), "-l", disks["raw-bios"]).stdout
    assert "warning" not in run("sfdisk", "--verify", disks["raw-bios"]).stderr.lower()


@pytest.mark.parametrize("name", ["raw-efi", "raw-hybrid"])
def test_a_guid_partition_table_says_names_and_kinds(disks, name):
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", disks[name]).stdout
    _, rows = table(disks[name])
    assert [row["name"] for row in rows] == ["BOOT", "data", "swapped", "rest"]
    kinds = [gpt.EFI_SYSTEM, gpt.LINUX_DATA, gpt.LINUX_SWAP, uuid.UUID(ROOT_X86_64)]
    assert [uuid.UUID(row["type"]) for row in rows] == kinds
    assert len({row["uuid"] for row in rows}) == 4


def test_what_is_in_them_is_sound(disks, tmp_path):
    _, rows = table(disks["raw-efi"])
    run(need("fsck.fat", "dosfstools"), "-n", cut_out(disks["raw-efi"], rows[0], tmp_path / "fat"))
    run(need("e2fsck", "e2fsprogs"), "-fn", cut_out(disks["raw-efi"], rows[1], tmp_path / "ext4"))
    assert not any(cut_out(disks["raw-efi"], rows[3], tmp_path / "rest").read_bytes())


def test_only_the_boot_volume_changes_with_the_node(store, tmp_path, disks):
    (tmp_path / "other").mkdir()
    known = node.products(store) | {"kernel": lambda: node.kernel(store, b"another command line")}
    result = node.make(store, "raw-efi", known, size="200M", label="NAME", partitions=PARTITIONS)
    other = node.output(store, result, "-efi.img", tmp_path / "other")
    one, two = table(disks["raw-efi"])[1], table(other)[1]
    assert [row["uuid"] for row in one[1:]] == [row["uuid"] for row in two[1:]] and one[0]["uuid"] != two[0]["uuid"]
    assert blkid(disks["raw-efi"], one[1])["UUID"] == blkid(other, two[1])["UUID"]


def test_without_a_size_a_disk_is_as_small_as_it_can_be(store, tmp_path):
    path = made(store, tmp_path, "raw-efi", partitions=[{}, {"label": "DATA", "size": "33", "format": "fat"}])
    _, rows = table(path)
    plain = made(store, tmp_path, "raw-efi").stat().st_size if path.unlink() is None else 0
    assert rows[1]["size"] == 33 * 2048 and rows[0]["size"] * 512 == plain - 2 * MIB
    assert rows[0]["name"] == "EFI System"


def test_a_label_is_the_name_of_the_volume(store, tmp_path):
    path = made(store, tmp_path, "raw-hybrid", label="LABELLED")
    (row,) = table(path)[1]
    assert row["name"] == "LABELLED" and blkid(path, row)["LABEL"] == "LABELLED"
    result = node.make(store, "iso-hybrid", node.products(store), label="LABELLED")
    path = node.output(store, result, "-hybrid.iso", tmp_path)
    assert "LABELLED" in run(need("blkid", "util-linux"), "--probe", path).stdout


@pytest.mark.parametrize(("options", "path"), [
    ({"size": "9M"}, ("size",)),
    ({"size": "60M", "partitions": [{}, {"label": "a", "size": "50M"}]}, ("size",)),
    ({"partitions": [{"size": "9M"}]}, ("partitions", 0, "size")),
    ({"partitions": [{}, {"size": "1M", "format": "fat"}]}, ("partitions", 1)),
    ({"partitions": [{}, *({"label": str(number), "size": "1"} for number in range(4))]}, ("partitions", 4)),
])  # fmt: skip
def test_what_does_not_fit_is_told_at_its_place(store, options, path):
    with pytest.raises(StageProblem, match=r"small|hold|at most") as caught:
        node.make(store, "raw-bios", node.products(store), **options)
    assert caught.value.path == path


def test_more_than_four_are_for_the_other_table(store, tmp_path):
    parts = [{}, *({"label": str(number), "size": "1"} for number in range(6))]
    assert len(table(made(store, tmp_path, "raw-efi", partitions=parts))[1]) == 7


@pytest.mark.boot
@pytest.mark.parametrize(("name", "efi"), [
    ("raw-bios", False), ("raw-efi", True), ("raw-hybrid", False), ("raw-hybrid", True),
])  # fmt: skip
def test_it_boots(disks, name, efi):
    assert node.UP in machine.boot(disks[name], efi=efi)


@pytest.mark.boot
def test_a_root_on_a_disk_boots_with_partitions_behind_it(store, tmp_path):
    behind = [{}, {"label": "swap", "size": "8M", "format": "swap"}, {"label": "data", "format": "ext4"}]
    result = node.make(store, "ext4", node.products(store), size="200M", partitions=behind)
    console = machine.boot(node.output(store, result, "-ext4.img", tmp_path))
    assert node.UP in console and "/dev/vda2 is the root file system (ext4, ro)" in console


SCRIPT = """#!/bin/busybox sh
export PATH=/bin
busybox mkdir -p /dev /mnt
busybox mount -t devtmpfs dev /dev
for module in %s; do busybox insmod /$module; done
busybox mount -t ext4 /dev/vda2 /mnt && busybox dd if=/dev/zero of=/mnt/file bs=1M count=20 && busybox umount /mnt
busybox mount -t ext4 /dev/vda2 /mnt && busybox ls -l /mnt/file && busybox swapon /dev/vda3 && echo "%s"
busybox poweroff -f
"""


@pytest.mark.boot
def test_the_kernel_takes_them(store, tmp_path, disks):
    """It finds the partitions, writes to the file system of one, and swaps to another."""
    paths = node.modules("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
    script = SCRIPT % (" ".join(path.name for path in paths), node.UP)
    tree = Tree(store.tree(node.rootfs(store, script.encode())))
    tree |= {path.name: node.host(store, path) for path in paths}
    entry = store.tree(initrd.fragment(store, store.put_tree(tree.ordered()), compress="zstd:1"))["fragment"]
    store.export(entry.content, tmp_path / "initrd")
    result = node.make(store, "kernel+initrd", node.products(store))
    kernel, cmdline = (node.output(store, result, suffix, tmp_path) for suffix in ("-kernel", "-cmdline"))
    drive = f"file={disks['raw-efi']},format=raw,if=virtio,snapshot=on"
    assert node.UP in machine.boot_kernel(kernel, tmp_path / "initrd", cmdline, "-drive", drive)
