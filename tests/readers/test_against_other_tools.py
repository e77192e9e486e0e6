"""What a reader says of a structure is what the tool that made it was given."""

import os
import stat
import subprocess

import pytest

from pipeline import readers
from pipeline.readers.view import HostFile, chunks
from tests.judges import need, run
from tests.readers.conftest import MTIME


def opened(path, structure):
    found = readers.look_into(HostFile(path))
    assert found is not None, f"nobody recognises {path}"
    assert found.structure == structure
    return found.listing


def contents(node):
    return b"".join(chunks(node.content))


def check(listing, root, owners=True, times=True, links=True):
    """Every file below `root` is in the listing, as it is there, and nothing else is."""
    expected = {str(path.relative_to(root)): path for path in root.rglob("*")}
    found = {path for path in listing if path not in ("", ".", "lost+found") and not path.startswith("(")}
    assert found == set(expected)
    for name, path in expected.items():
        node, facts = listing[name], path.lstat()
        if owners:
            assert (node.properties["uid"], node.properties["gid"]) == (facts.st_uid, facts.st_gid), name
            if not path.is_symlink():
                assert node.properties["mode"] == f"{stat.S_IMODE(facts.st_mode):04o}", name
        if times:
            assert int(float(node.properties["mtime"])) == MTIME, name
        if path.is_symlink():
            assert (node.kind, node.properties["target"]) == ("symlink", os.readlink(path))
        elif path.is_dir():
            assert node.kind == "directory"
        elif path.is_file() and (links or node.kind != "link"):
            assert contents(node) == path.read_bytes(), name
        elif not path.is_file():
            assert node.kind == "device"


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd"])
@pytest.mark.parametrize("options", [[], ["-no-fragments", "-noI"], ["-b", "1M", "-always-use-fragments"]])
def test_squashfs(unix, tmp_path, compression, options):
    image = tmp_path / "image"
    run(need("mksquashfs", "squashfs-tools"), unix, image, "-comp", compression, "-quiet", "-no-progress", *options)
    listing = opened(image, "squashfs")
    check(listing, unix)
    assert listing[""].properties["compression"] == compression
    assert listing["etc/big"].properties["links"] == 2
    if "user.test" in os.listxattr(unix / "etc/hostname"):
        assert listing["etc/hostname"].properties["xattr user.test"] == b"value".hex()


@pytest.mark.parametrize("options", [
    [], ["-zlz4hc"], ["-zlz4hc", "-C65536"], ["-zlz4", "-C8192"], ["-zlz4hc", "-C16384", "-Elegacy-compress"],
    ["-x1", "-Enoinline_data"], ["--chunksize=4096"], ["--chunksize=16384"],
])  # fmt: skip
def test_erofs(unix, tmp_path, options):
    image = tmp_path / "image"
    run(need("mkfs.erofs", "erofs-utils"), "--quiet", *options, image, unix)
    listing = opened(image, "erofs")
    check(listing, unix)
    assert listing["etc/big"].properties["links"] == 2
    if "user.test" in os.listxattr(unix / "etc/hostname"):
        assert listing["etc/hostname"].properties["xattr user.test"] == b"value".hex()


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
@pytest.mark.parametrize("options", [["-b", "4096"], ["-b", "1024", "-I", "128"], ["-b", "1024", "-O", "inline_data"]])
def test_ext(unix, tmp_path, kind, options):
    if "inline_data" in options and kind != "ext4":
        pytest.skip("only ext4 keeps data in inodes")
    image = tmp_path / "image"
    run(need("mke2fs", "e2fsprogs"), "-q", "-t", kind, *options, "-L", "label", "-d", unix, image, "20M")
    listing = opened(image, "ext4")
    check(listing, unix)
    assert listing[""].properties["label"] == "label"
    if "user.test" in os.listxattr(unix / "etc/hostname"):
        assert listing["etc/hostname"].properties["xattr user.test"] == b"value".hex()


@pytest.mark.parametrize("options", [["-F", "12", "-s", "16"], ["-F", "16", "-s", "2"], ["-F", "32", "-s", "1"]])
def test_fat(folder, tmp_path, options):
    image = tmp_path / "image"
    need("mcopy", "mtools")
    blocks = 16 << 10 if "12" in options else 48 << 10
    run(need("mkfs.fat", "dosfstools"), "-C", "-n", "LABEL", "-i", "1234ABCD", *options, image, blocks)
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    for entry in sorted(folder.iterdir()):
        subprocess.run(["mcopy", "-s", "-m", "-i", image, entry, "::"], env=environment, check=True)
    listing = opened(image, "FAT")
    check(listing, folder, owners=False, times=False)
    assert listing[""].properties["type"] == f"FAT{options[1]}"
    assert listing[""].properties["serial"] == "1234abcd"
    assert listing["etc/hostname"].properties["modified"] == "2020-09-13 12:26:40"


def test_iso(unix, tmp_path):
    image = tmp_path / "image"
    run(need("xorriso"), "-as", "mkisofs", "-quiet", "-R", "-J", "-V", "NODE", "-o", image, unix)
    listing = opened(image, "ISO 9660")
    check(listing, unix, times=False)
    assert listing[""].properties["volume"] == "NODE"
    assert listing["etc/hostname"].properties["times"].split()[0].startswith("2020-09-13T12:26:40")


def test_iso_without_rock_ridge(folder, tmp_path):
    image = tmp_path / "image"
    run(need("genisoimage"), "-quiet", "-o", image, folder)
    assert contents(opened(image, "ISO 9660")["ETC/HOSTNAME"]) == b"node\n"


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
def test_tar(unix, tmp_path, form):
    image = tmp_path / "image"
    source = unix
    run(need("tar"), "-C", source, "--format", form, "--sort=name", "-cf", image, "--exclude=etc/long link", ".")
    listing = dict(opened(image, "tar"))
    assert len([node for node in listing.values() if node.kind == "link"]) == 1
    assert contents(listing["etc/big"] if listing["etc/big"].kind == "file" else listing["etc/big too"])
    listing["etc/long link"] = readers.Node("symlink", {**listing["etc/link"].properties, "target": "x" * 200})
    check(listing, unix, links=False)


@pytest.mark.parametrize("form", ["newc", "crc"])
def test_cpio(unix, tmp_path, form):
    image = tmp_path / "image"
    names = subprocess.run(["find", ".", "-print0"], cwd=unix, capture_output=True, check=True).stdout
    with open(image, "wb") as out:
        command = [need("cpio"), "--null", "--quiet", "-o", "-H", form]
        subprocess.run(command, cwd=unix, input=names, stdout=out, check=True)
    listing = opened(image, "cpio")
    check(listing, unix)
    assert listing["etc/big"].properties["links"] == 2


@pytest.mark.parametrize("command", [["gzip", "-9"], ["xz", "-1"], ["zstd", "-3", "-q"]])
def test_a_compressed_archive(unix, tmp_path, command):
    need(command[0])
    image = tmp_path / "image"
    with open(image, "wb") as out:
        tar = subprocess.run(["tar", "-C", unix, "-c", "."], capture_output=True, check=True).stdout
        subprocess.run(command, input=tar, stdout=out, check=True)
    archive = opened(image, "archives")["archive 1"]
    assert archive.properties["compression"] == command[0]
    inside = readers.look_into(archive.content)
    assert inside.structure == "tar"
    assert contents(inside.listing["etc/hostname"]) == b"node\n"


@pytest.mark.parametrize(
    ("form", "options", "structure"),
    [
        ("qcow2", ["-o", "compat=0.10"], "qcow2"),
        ("qcow2", [], "qcow2"),
        ("qcow2", ["-c"], "qcow2"),
        ("qcow2", ["-c", "-o", "compression_type=zstd,cluster_size=128k"], "qcow2"),
        ("vmdk", ["-o", "subformat=streamOptimized"], "VMDK"),
        ("vmdk", ["-o", "subformat=monolithicSparse"], "VMDK"),
        ("vhdx", ["-o", "subformat=dynamic"], "VHDX"),
        ("vhdx", ["-o", "subformat=fixed,block_size=8M"], "VHDX"),
        ("vpc", ["-o", "subformat=dynamic,force_size=on"], "VHD"),
        ("vpc", ["-o", "subformat=fixed,force_size=on"], "VHD"),
    ],
)
def test_disk_images(unix, tmp_path, form, options, structure):
    raw, image = tmp_path / "raw", tmp_path / "image"
    run(need("mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-d", unix, raw, "20M")
    run(need("qemu-img", "qemu-utils"), "convert", "-O", form, *options, raw, image)
    content = opened(image, structure)["disk"].content
    assert b"".join(chunks(content)) == raw.read_bytes()
    inside = readers.look_into(content)
    assert inside.structure == "ext4"
    check(inside.listing, unix)


def test_gpt(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(8 << 20))
    run(
        need("sgdisk", "gdisk"), "-U", "01234567-89ab-cdef-0123-456789abcdef", "-n", "1:2048:4095", "-t", "1:ef00",
        "-c", "1:EFI system", "-n", "3:4096:8191", "-t", "3:8300", image,
    )  # fmt: skip
    listing = opened(image, "disk")
    assert listing[""].properties["disk GUID"] == "01234567-89ab-cdef-0123-456789abcdef"
    assert [path for path in listing if path] == ["boot code", "partition 1", "partition 3"]
    first = listing["partition 1"]
    assert (first.properties["type"], first.properties["name"]) == (
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        "EFI system",
    )
    assert first.content.size == 1 << 20


def test_mbr(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(8 << 20))
    table = "label: dos\nlabel-id: 0x12345678\nstart=2048, size=4096, type=c, bootable\nstart=8192, size=100, type=83\n"
    run(need("sfdisk", "fdisk"), "-q", image, input=table)
    listing = opened(image, "disk")
    assert listing[""].properties["disk signature"] == "12345678"
    assert listing["partition 1"].properties == {"type": "0x0c", "active": 1}
    assert listing["partition 2"].content.size == 51_200


def test_pe(tmp_path):
    stub = need("/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "systemd-boot-efi")
    (tmp_path / "initrd").write_bytes(b"the initrd")
    image = tmp_path / "image"
    added = ["--add-section", f".initrd={tmp_path / 'initrd'}", "--change-section-vma", ".initrd=0x3000000"]
    run(need("objcopy", "binutils"), *added, stub, image)
    listing = opened(image, "PE")
    assert contents(listing[".initrd"]).rstrip(b"\0") == b"the initrd"
    assert {".text", ".sdmagic"} <= set(listing)
