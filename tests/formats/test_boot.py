"""Every format that boots, booted to the node's own line on the console."""

import pytest

from tests.formats import machine, node

pytestmark = pytest.mark.boot

DISKS = [
    # format, suffix, what QEMU calls its kind, drive, by UEFI
    ("raw-bios", "-bios.img", "raw", "virtio", False),
    ("raw-bios", "-bios.img", "raw", "ide", False),
    ("raw-bios", "-bios.img", "raw", "sata", False),
    ("raw-bios", "-bios.img", "raw", "usb", False),
    ("qcow2-bios", ".qcow2", "qcow2", "virtio", False),
    ("aws", ".raw", "raw", "virtio", False),
    ("vhd", ".vhd", "vpc", "ide", False),
    ("dynamic-vhd", "-dynamic.vhd", "vpc", "ide", False),
    ("vmdk", ".vmdk", "vmdk", "ide", False),
    ("raw-efi", "-efi.img", "raw", "virtio", True),
    ("raw-efi", "-efi.img", "raw", "sata", True),
    ("qcow2-efi", "-efi.qcow2", "qcow2", "virtio", True),
    ("vhdx", ".vhdx", "vhdx", "sata", True),
    ("iso-bios", ".iso", "raw", "cd", False),
    ("iso-efi", "-efi.iso", "raw", "cd", True),
    ("iso-efi-initrd", "-efi-initrd.iso", "raw", "cd", True),
    ("iso-hybrid", "-hybrid.iso", "raw", "cd", False),
    ("iso-hybrid", "-hybrid.iso", "raw", "cd", True),
    ("iso-hybrid", "-hybrid.iso", "raw", "usb", False),
    ("iso-hybrid", "-hybrid.iso", "raw", "usb", True),
    ("raw-hybrid", "-hybrid.img", "raw", "virtio", False),
    ("raw-hybrid", "-hybrid.img", "raw", "virtio", True),
    ("raw-hybrid", "-hybrid.img", "raw", "usb", False),
    ("raw-hybrid", "-hybrid.img", "raw", "usb", True),
]


ARM_DISKS = [
    # the same by UEFI on arm64
    ("raw-efi", "-efi.img", "raw", "virtio"),
    ("raw-efi", "-efi.img", "raw", "usb"),
    ("qcow2-efi", "-efi.qcow2", "qcow2", "virtio"),
    ("iso-efi", "-efi.iso", "raw", "scsi-cd"),
]


@pytest.fixture(scope="module")
def outputs(store, tmp_path_factory):
    """The output file of a format, made once."""
    made = {}

    def output(name, suffix, arch="amd64", **options):
        key = (name, suffix, arch, *options.items())
        if key not in made:
            result = node.make(store, name, node.products(store, arch=arch), **options)
            made[key] = node.output(store, result, suffix, tmp_path_factory.mktemp("boot"))
        return made[key]

    return output


@pytest.mark.parametrize("compress", ["zstd:3", "zstd:19", "gzip", "none"])
def test_kernel_and_initrd(store, tmp_path, compress):
    result = node.make(store, "kernel+initrd", node.products(store, compress))
    paths = [node.output(store, result, suffix, tmp_path) for suffix in ("-kernel", "-initrd.img", "-cmdline")]
    assert node.UP in machine.boot_kernel(*paths)


@pytest.mark.parametrize(("name", "suffix", "kind", "drive", "efi"), DISKS)
def test_disk(outputs, name, suffix, kind, drive, efi):
    assert node.UP in machine.boot(outputs(name, suffix), kind, drive, efi)


@pytest.mark.parametrize(("name", "suffix", "kind", "drive"), ARM_DISKS)
def test_disk_on_arm64(outputs, name, suffix, kind, drive):
    console = machine.boot(outputs(name, suffix, "arm64"), kind, drive, efi=True, arch="arm64")
    assert f"{node.UP} on aarch64" in console


def test_kernel_and_initrd_on_arm64(outputs):
    paths = [outputs("kernel+initrd", suffix, "arm64") for suffix in ("-kernel", "-initrd.img", "-cmdline")]
    assert f"{node.UP} on aarch64" in machine.boot_kernel(*paths, arch="arm64")


def test_a_card_for_a_raspberry_pi(store, tmp_path):
    """From U-Boot on: QEMU is the firmware that starts it. Cards have sizes that are powers of two, says QEMU."""
    made = node.make(store, "rpi3", node.raspberry(store), size="128M")
    u_boot = node.package("u-boot-rpi", "arm64") / "usr/lib/u-boot/rpi_3/u-boot.bin"
    console = machine.boot_raspberry(node.output(store, made, "-rpi3.img", tmp_path), u_boot)
    assert "Found /extlinux/extlinux.conf" in console
    assert f"{node.UP} on aarch64" in console


def test_a_disk_of_a_given_size(outputs):
    image = outputs("raw-bios", "-bios.img", size="300M")
    assert image.stat().st_size == 300 << 20
    assert node.UP in machine.boot(image)


def test_a_disk_of_compressed_clusters(outputs):
    image, plain = (outputs("qcow2-bios", ".qcow2", **options) for options in ({"clusters": "zstd:9"}, {}))
    assert image.stat().st_size < plain.stat().st_size
    assert node.UP in machine.boot(image, "qcow2")


@pytest.mark.parametrize(("name", "suffix", "kind", "module"), [
    ("kernel+squashfs", "-squashfs.img", "squashfs", "squashfs"),
    ("kernel+erofs", "-erofs.img", "erofs", "erofs"),
])  # fmt: skip
@pytest.mark.parametrize("compress", ["zstd:3", "gzip", "none"])
def test_a_root_file_system_that_the_kernel_mounts(store, tmp_path, name, suffix, kind, module, compress):
    if kind == "squashfs" and compress == "none":
        pytest.skip("squashfs is made compressed only")
    result = node.make(store, name, node.products(store), compress=compress)
    disk, kernel, cmdline = (node.output(store, result, each, tmp_path) for each in (suffix, "-kernel", "-cmdline"))
    entry = store.tree(node.mounting(store, kind, "/dev/vda", module))["fragment"]
    store.export(entry.content, tmp_path / "initrd")
    drive = f"file={disk},format=raw,if=virtio,snapshot=on"
    assert node.UP in machine.boot_kernel(kernel, tmp_path / "initrd", cmdline, "-drive", drive)
