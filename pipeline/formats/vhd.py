"""vhd: the disk of raw-bios as a fixed VHD, as Azure takes it."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.stages.diskimage import converted
from pipeline.store import Store
from pipeline.writers import disk, vhd

NAME = "vhd"
VERSION = vhd.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".vhd",)
LARGEST_DISK = vhd.LARGEST
DISK = True


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".vhd"}."""
    return converted(store, raw, ".vhd", lambda raw, out: vhd.write_fixed(raw, out, disk.identity(NAME, raw)))
