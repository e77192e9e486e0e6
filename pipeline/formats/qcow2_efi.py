"""qcow2-efi: the disk of raw-efi as a qcow2 image, for QEMU and OpenStack."""

from __future__ import annotations

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.stages import diskimage
from pipeline.store import Store

VERSION = diskimage.VERSION


def build(store: Store, raw: Digest, clusters: str = "plain") -> Digest:
    """Tree {"-efi.qcow2"}; its clusters refer to the raw disk. clusters: `plain`, or compressed: `zstd[:level]`."""
    return diskimage.qcow(store, raw, "-efi.qcow2", clusters)


FORMAT = Format(
    "qcow2-efi", build, needs=(Output("raw-efi"),), options=("clusters",), produces=("-efi.qcow2",),
    firmware=Firmware.UEFI, drive=Drive("qcow2"),
)  # fmt: skip
