"""Golden digests of formats whose parts can be made up: other bytes need another VERSION, and the list a new line."""

import hashlib
import sys

import pytest

from pipeline import formats
from pipeline.model.tree import Tree, complete, files
from tests.formats import node
from tests.formats.node import PI_FIRMWARE
from tests.writers import samples


def products(store):
    """A node that no machine boots, always the same."""
    u_boot, tree = "usr/lib/u-boot/rpi_3/u-boot.bin", "boot/dtb/broadcom/bcm2837-rpi-3-b.dtb"
    contents = {
        "kernel": {"kernel": samples.noise(300_000), "cmdline": b"console=ttyS1,115200 quiet"},
        "initrd": {"initrd.img": samples.noise(500_000, "initrd")},
        "rootfs": {tree: samples.noise(15_000, "tree")},
        "raspi": {name: samples.noise(50_000, name) for name in [*PI_FIRMWARE, u_boot]},
    }

    def made(parts):
        return store.put_tree(complete(files((path, store.content(data)) for path, data in parts.items())))

    return {name: made(parts) for name, parts in contents.items()}


GOLDEN = {
    "netboot 1": "ac0ea246aa963dec79e69e3f31f8732d450008cce53d24ad73197260b611b1dd",
    "rpi3 1 1 fat-1 syslinux-2 gpt-1 mbr-1 swap-1 ext4-4 tar-1": (
        "483fa0a6c97b40337b89e841640663a03fdfe7a0bbbf6eceec848bf65859e8f7"
    ),
}


@pytest.mark.parametrize("name", ["netboot", "rpi3"])
def test_golden(store, name):
    known = {need: lambda made=made: made for need, made in products(store).items()}
    result: Tree = store.tree(node.make(store, name, known))
    digest = hashlib.sha256()
    for suffix, entry in result.files().items():
        digest.update(suffix.encode())
        for data in store.read(entry.content):
            digest.update(data)
    assert digest.hexdigest() == GOLDEN[f"{name} {sys.modules[formats.find(name).build.__module__].VERSION}"]
