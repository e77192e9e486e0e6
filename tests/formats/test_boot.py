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


@pytest.fixture(scope="module")
def outputs(store, tmp_path_factory):
    """The output file of a format, made once."""
    made = {}

    def output(name, suffix, **options):
        key = (name, suffix, *options.items())
        if key not in made:
            result = node.make(store, name, node.products(store), **options)
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


def test_a_disk_of_a_given_size(outputs):
    image = outputs("raw-bios", "-bios.img", size="300M")
    assert image.stat().st_size == 300 << 20
    assert node.UP in machine.boot(image)


@pytest.mark.parametrize(("name", "suffix", "kind", "module"), [
    ("kernel+squashfs", "-squashfs.img", "squashfs", "squashfs"),
])  # fmt: skip
@pytest.mark.parametrize("compress", ["zstd:3", "gzip"])
def test_a_root_file_system_that_the_kernel_mounts(store, tmp_path, name, suffix, kind, module, compress):
    result = node.make(store, name, node.products(store), compress=compress)
    disk, kernel, cmdline = (node.output(store, result, each, tmp_path) for each in (suffix, "-kernel", "-cmdline"))
    entry = store.tree(node.mounting(store, kind, "/dev/vda", module))["fragment"]
    store.export(entry.content, tmp_path / "initrd")
    drive = f"file={disk},format=raw,if=virtio,snapshot=on"
    assert node.UP in machine.boot_kernel(kernel, tmp_path / "initrd", cmdline, "-drive", drive)
