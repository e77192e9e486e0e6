"""Roots that the kernel verifies: their trees and command lines, the disk of verity-efi, and what machines do."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import nullcontext

import pytest

from pipeline import formats, readers
from pipeline.model.tree import Tree, complete, files
from pipeline.ondisk.x509 import from_file
from pipeline.planning.signing import Signer
from pipeline.readers.view import HostFile
from pipeline.stages import initramfs, signed, verity
from pipeline.writers import FormatError, tar
from pipeline.writers.efivars import certificate_list
from pipeline.writers.verity import BLOCK, Root
from tests.formats import machine, node
from tests.judges import need, needs_root, run
from tests.writers.signing import make_key, openssl_signature

MODES = ["panic", "restart", "eio"]
SUFFIXES = {"kernel+squashfs": "-squashfs.img", "kernel+erofs": "-erofs.img"}
WORDS = re.compile(r"roothash=(\w{64}) nodekiln.verity=(\w+):(\d+):(\w{64})(?::(\S+))?( panic=10)?$")
ROOT_TYPE, TREE_TYPE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5"


@pytest.fixture(scope="module")
def verified(store, tmp_path_factory):
    """A function: a format -> its root's file, and the command line."""

    def make(name, mode="panic", **products):
        folder = tmp_path_factory.mktemp("verity")
        result = node.make(store, name, node.products(store) | products, name="node", verity=mode)
        line = node.output(store, result, "-cmdline", folder).read_text()
        return node.output(store, result, SUFFIXES[name], folder), line

    return make


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SUFFIXES)
def test_the_tree_follows_the_root_and_the_command_line_binds_it(verified, name, mode):
    image, line = verified(name, mode)
    root_hash, reaction, blocks, salt, partition, panic = WORDS.search(line).groups()
    assert (reaction, partition, panic) == (mode, None, None)
    assert line.startswith(node.CMDLINE.decode())
    assert salt == hashlib.sha256(b"nodekiln verity node").hexdigest()
    run(
        need("veritysetup", "cryptsetup-bin"), "verify", image, image, root_hash, f"--hash-offset={int(blocks) * BLOCK}"
    )


def test_a_line_without_panic_gets_one(store):
    kernel = node.kernel(store, b"quiet")
    bound = store.tree(verity.bound(store, kernel, "roothash=x"))
    assert store.bytes(bound.file("cmdline").content) == b"quiet roothash=x panic=10"
    assert bound.file("kernel") == store.tree(kernel).file("kernel")


def test_a_node_without_a_kernel_is_refused(store):
    nothing = store.put_tree(Tree())
    for name in SUFFIXES:
        with pytest.raises(FormatError, match="is there a kernel in the spec"):
            formats.find(name).build(store, nothing, node.rootfs(store), name="node", verity="panic")


def test_without_verity_nothing_is_added(store):
    for name, suffix in SUFFIXES.items():
        plain, verified = (
            store.tree(node.make(store, name, node.products(store), **options))
            for options in ({}, {"name": "node", "verity": "eio"})
        )
        assert store.bytes(plain.file("-cmdline").content) == node.CMDLINE
        content = store.bytes(verified.file(suffix).content)
        assert content.startswith(store.bytes(plain.file(suffix).content))


def test_the_salt_is_of_the_name_and_not_of_the_content(store):
    small, large = (store.content(bytes(count * BLOCK)) for count in (3, 300))
    roots = [verity.verified(store, content, name).root for content, name in [(small, "a"), (large, "a"), (small, "b")]]
    assert roots[0].salt == roots[1].salt != roots[2].salt
    assert roots[0].hash != roots[2].hash


def test_words_that_name_a_partition():
    root = Root(bytes(32), 5, b"\1\2")
    assert verity.words(root, "eio") == f"roothash={'00' * 32} nodekiln.verity=eio:5:0102"
    assert verity.words(root, "eio", "P") == f"roothash={'00' * 32} nodekiln.verity=eio:5:0102:P"


def test_the_program_that_binds_the_root_is_signed(store, tmp_path):
    """The signature is for what `program` gives, and in the boot partition is the signed program."""
    known, options = node.products(store), {"name": "node", "verity": "eio", "compress": "zstd:3"}
    wanted = formats.find("verity-efi")
    needs = [known[need.name if isinstance(need, formats.Recipe) else need]() for need in wanted.needs]
    unsigned = wanted.program(store, *needs, **options)
    facts = store.tree(signed.record(store, unsigned))
    attributes = store.bytes(facts.file(signed.TO_SIGN).content)
    root_hash = json.loads(store.bytes(facts.file(signed.RECORD).content))["root-hash"]
    key, certificate = make_key(tmp_path, "db")
    own = from_file(certificate.read_bytes())
    signer = Signer([own], {
        f"sha256:{hashlib.sha256(attributes).hexdigest()}": openssl_signature(key, attributes)
    }, {"db": certificate_list(own.encoding)})  # fmt: skip
    image = node.disk(store, "verity-efi", tmp_path, known, sign=signer.parameter(), **options)
    run(need("mcopy", "mtools"), "-i", f"{image}@@1M", "::EFI/BOOT/BOOTX64.EFI", tmp_path / "program")
    judged = run(need("sbverify", "sbsigntool"), "--cert", certificate, tmp_path / "program")
    assert "Signature verification OK" in judged.stdout
    assert f"roothash={root_hash} ".encode() in (tmp_path / "program").read_bytes()


@pytest.fixture(scope="module")
def image(store, tmp_path_factory):
    return node.disk(store, "verity-efi", tmp_path_factory.mktemp("disk"), name="node")


def partitions(image):
    rows = json.loads(run(need("sfdisk", "fdisk"), "--json", image).stdout)["partitiontable"]["partitions"]
    return rows, [
        readers.look_into(HostFile(image)).listing[f"partition {number + 1}"].content for number in range(len(rows))
    ]


def test_the_disk_is_as_the_discoverable_partitions_specification_says(image, tmp_path):
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", image).stdout
    rows, contents = partitions(image)
    program = readers.look_into(readers.look_into(contents[0]).listing["EFI/BOOT/BOOTX64.EFI"].content).listing
    line = program[".cmdline"].content.read(0, 2048).rstrip(b"\0").decode()
    root_hash, mode, blocks, _, partition, _ = WORDS.search(line).groups()
    assert [(row["type"], row["uuid"].replace("-", "").lower(), row["name"]) for row in rows[1:]] == [
        (ROOT_TYPE, root_hash[:32], "root"), (TREE_TYPE, root_hash[32:], "root-verity"),
    ]  # fmt: skip
    assert all("GUID:60" in row["attrs"] for row in rows[1:])
    assert f" root=PARTUUID={rows[1]['uuid'].lower()} rootfstype=erofs " in line
    assert (mode, partition) == ("panic", rows[2]["uuid"].lower())
    for name, content in zip(("root", "tree"), contents[1:], strict=True):
        (tmp_path / name).write_bytes(content.read(0, content.size))
    assert int(blocks) * BLOCK <= contents[1].size
    run(need("veritysetup", "cryptsetup-bin"), "verify", tmp_path / "root", tmp_path / "tree", root_hash)
    with (tmp_path / "root").open("r+b") as file:
        file.truncate(int(blocks) * BLOCK)
    run(need("fsck.erofs", "erofs-utils"), tmp_path / "root")


@needs_root
def test_systemd_understands_the_disk(image):
    """systemd-dissect finds root and hash tree by their types, and pairs them by the root hash."""
    rows, _ = partitions(image)
    root_hash = "".join(row["uuid"].replace("-", "").lower() for row in rows[1:])
    shown = run(need("systemd-dissect", "systemd-container"), "--json=short", f"--root-hash={root_hash}", image)
    found = {row["designator"]: row for row in json.loads(shown.stdout.partition("\n")[0])["mounts"]}
    assert found["root"]["verity"] == "yes"


def test_types_are_those_of_the_architecture(store, tmp_path):
    path = node.disk(store, "verity-efi", tmp_path, node.products(store, arch="arm64"), name="node")
    shown = run(need("sfdisk", "fdisk"), "-l", path).stdout
    assert "Linux root (ARM-64)" in shown and "Linux root verity (ARM-64)" in shown


def test_more_partitions_lie_behind_the_tree(store, tmp_path):
    wanted = [{"size": "80M"}, {"label": "data", "format": "ext4"}]
    path = node.disk(store, "verity-efi", tmp_path, name="node", size="200M", partitions=wanted)
    rows, _ = partitions(path)
    assert [row["name"] for row in rows] == ["EFI System", "root", "root-verity", "data"]
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", path).stdout
    with pytest.raises(FormatError, match="size"):
        node.make(store, "verity-efi", node.products(store), name="node", size="20M")


def test_another_root_is_another_disk_and_the_same_data_partitions(store):
    changed = {"rootfs": lambda: node.rootfs(store, node.INIT + b"# other\n")}
    made = [
        node.make(store, "verity-efi", node.products(store) | products, name="node") for products in ({}, {}, changed)
    ]
    assert made[0] == made[1] != made[2]


def test_the_ramdisk_has_dmsetup_and_its_libraries(store):
    init = store.put_tree(files([(initramfs.MOUNT_ROOT, store.content(b"x"))]))
    nothing = store.put_tree(Tree())
    made = store.tree(initramfs.ramdisk(store, nothing, init, node.dmsetup_image(store)))
    libraries = {path.rpartition("/")[2] for path in made if ".so" in path}
    assert libraries == {*node.DMSETUP_LIBRARIES.values()} and "usr/sbin/dmsetup" in made


@pytest.mark.parametrize(("builtin", "refused"), [("", True), ("kernel/drivers/md/dm-verity.ko\n", False)])
def test_a_kernel_without_dm_verity_is_refused(store, builtin, refused):
    package = node.kernel_package()
    entries = {str(path.relative_to(package)): node.host(store, path) for path in node.modules("virtio_blk")}
    entries |= files([("lib/modules/6.1/modules.builtin", store.content(b"kernel/fs/ext4.ko\n" + builtin.encode()))])
    out = store.rope()
    tar.write(complete(Tree(entries).ordered()), out)
    image = store.put_tree(files([("kernel.tar", out.finish())]))
    initramfs.modules(store, image, tar="kernel.tar")
    with pytest.raises(FormatError, match="no dm-verity") if refused else nullcontext():
        initramfs.modules(store, image, tar="kernel.tar", verity=True)


def boot(store, folder, image, line):
    """The console of a machine that boots the small initrd with dm-verity, and has `image` as its disk."""
    kernel = node.output(store, node.kernel(store), "kernel", folder)
    bootrd = node.output(store, node.bootrd(store, verity=True), "initrd.img", folder)
    (folder / "cmdline").write_text(f"{line} root=/dev/vda")
    drive = f"file={image},format=raw,if=virtio,snapshot=on"
    return machine.boot_kernel(kernel, bootrd, folder / "cmdline", "-drive", drive)


@pytest.mark.boot
def test_a_verified_root_is_not_remounted_to_be_written_to(store, verified, tmp_path):
    root = {"rootfs": lambda: node.rootfs(store, node.REMOUNT)}
    console = boot(store, tmp_path, *verified("kernel+erofs", "eio", **root))
    assert "services are up" in console
    assert "remounted" not in console and "written to" not in console


@pytest.mark.boot
@pytest.mark.parametrize(("name", "mode"), [("kernel+squashfs", "panic"), ("kernel+erofs", "eio")])
def test_a_verified_root_boots(store, verified, tmp_path, name, mode):
    console = boot(store, tmp_path, *verified(name, mode))
    kind = name.removeprefix("kernel+")
    assert f"/dev/dm-0 is the root file system ({kind}, ro, verified, {mode})" in console
    assert node.UP in console


SUPERBLOCK, TOP = 1024, -1
"""Places of a damaged byte: in the root's superblock, which every mount reads; in the highest block of the tree."""


@pytest.mark.boot
@pytest.mark.parametrize(("mode", "place", "message"), [
    ("panic", SUPERBLOCK, "Kernel panic - not syncing: dm-verity device corrupted"),
    ("panic", TOP, "Kernel panic - not syncing: dm-verity device corrupted"),
    ("restart", SUPERBLOCK, "reboot: Restarting system with command 'dm-verity device corrupted'"),
    ("eio", SUPERBLOCK, "no root file system: /dev/dm-0 (/dev/vda) is none of: "),
])  # fmt: skip
def test_a_changed_byte_ends_the_boot(store, verified, tmp_path, mode, place, message):
    image, line = verified("kernel+erofs", mode)
    damaged = tmp_path / "damaged.img"
    data = bytearray(image.read_bytes())
    data[(int(WORDS.search(line)[3]) + 1) * BLOCK if place == TOP else place] ^= 1
    damaged.write_bytes(data)
    console = boot(store, tmp_path, damaged, line)
    assert ("metadata block" if place == TOP else "data block 0 is corrupted") in console and message in console
    assert node.UP not in console


@pytest.mark.boot
@pytest.mark.parametrize(("change", "said"), [
    ((r"roothash=.", "roothash=g"), "cannot be verified with roothash="),
    ((r"nodekiln\.verity=\S+", ""), "one of roothash= and nodekiln.verity="),
    ((r"roothash=\S+", ""), "one of roothash= and nodekiln.verity="),
    ((r"verity=panic", "verity=ignore"), "none of panic, restart, eio"),
    ((r"(verity=\S+)", r"\1:0badcafe-0000-0000-0000-000000000000"), "with the hash tree is not there"),
])  # fmt: skip
@pytest.mark.slow
def test_a_root_that_cannot_be_verified_is_not_mounted(store, verified, tmp_path, change, said):
    image, line = verified("kernel+erofs")
    console = boot(store, tmp_path, image, re.sub(*change, line))
    assert "no root file system: " in console and said in console
    assert node.UP not in console


@pytest.mark.boot
@pytest.mark.slow
def test_the_disk_boots_on_arm64(store, tmp_path):
    image = node.disk(store, "qcow2-verity-efi", tmp_path, node.products(store, arch="arm64"), name="node")
    console = machine.boot(image, "qcow2", efi=True, arch="arm64")
    assert "/dev/dm-0 is the root file system (erofs, ro, verified, panic)" in console
    assert f"{node.UP} on aarch64" in console


@pytest.mark.boot
def test_the_disk_boots(image):
    console = machine.boot(image, efi=True)
    assert re.search(r"/dev/dm-0 is the root file system \(erofs, ro, verified, panic\)", console)
    assert node.UP in console
