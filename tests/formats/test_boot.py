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
