"""vhd: the disk of raw-bios as a fixed VHD, for Azure."""

from __future__ import annotations

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.stages.diskimage import converted
from pipeline.store import Store
from pipeline.writers import disk, vhd

VERSION = vhd.VERSION


def build(store: Store, raw: Digest) -> Digest:
    return converted(store, raw, ".vhd", lambda raw, out: vhd.write_fixed(raw, out, disk.identity(FORMAT.name, raw)))


FORMAT = Format(
    "vhd", build, needs=(Output("raw-bios"),), options=(), produces=(".vhd",), firmware=Firmware.BIOS,
    drive=Drive("vpc"), largest_disk=vhd.LARGEST,
)  # fmt: skip
