"""qcow2-verity-efi: the disk of verity-efi as a qcow2 image, for QEMU and OpenStack."""

from __future__ import annotations

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.stages import diskimage
from pipeline.store import Store

VERSION = diskimage.VERSION


def build(store: Store, raw: Digest, clusters: str = "plain") -> Digest:
    """Tree {"-verity-efi.qcow2"}; its clusters refer to the raw disk. clusters: as qcow2-efi's."""
    return diskimage.qcow(store, raw, "-verity-efi.qcow2", clusters)


FORMAT = Format(
    "qcow2-verity-efi",
    build,
    needs=(Output("verity-efi"),),
    options=("clusters",),
    produces=("-verity-efi.qcow2",),
    firmware=Firmware.UEFI,
    drive=Drive("qcow2"),
)
