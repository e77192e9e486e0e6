"""qcow2-bios: the disk of raw-bios as QEMU's and OpenStack's own kind of image."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.stages import diskimage
from pipeline.store import Store

NAME = "qcow2-bios"
VERSION = diskimage.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ("clusters",)
SUFFIXES = (".qcow2",)
DISK = True


def build(store: Store, raw: Digest, clusters: str = "plain") -> Digest:
    """Tree {".qcow2"}; its clusters refer to the raw disk. clusters: `plain`, or compressed: `zstd[:level]`."""
    return diskimage.qcow(store, raw, ".qcow2", clusters)
