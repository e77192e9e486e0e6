"""qcow2-efi: the disk of raw-efi as QEMU's and OpenStack's own kind of image."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.stages import diskimage
from pipeline.store import Store

NAME = "qcow2-efi"
VERSION = diskimage.VERSION
NEEDS = ("raw-efi",)
OPTIONS = ("clusters",)
SUFFIXES = ("-efi.qcow2",)
DISK = True


def build(store: Store, raw: Digest, clusters: str = "plain") -> Digest:
    """Tree {"-efi.qcow2"}; its clusters refer to the raw disk. clusters: `plain`, or compressed: `zstd[:level]`."""
    return diskimage.qcow(store, raw, "-efi.qcow2", clusters)
