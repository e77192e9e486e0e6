"""dynamic-vhd: the disk of raw-bios as a dynamic VHD, for Hyper-V's first generation of machines."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.stages.diskimage import converted
from pipeline.store import Store
from pipeline.writers import disk, vhd

NAME = "dynamic-vhd"
VERSION = vhd.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = ("-dynamic.vhd",)
LARGEST_DISK = vhd.LARGEST
DISK = True


def build(store: Store, raw: Digest) -> Digest:
    """Tree {"-dynamic.vhd"}."""
    return converted(store, raw, "-dynamic.vhd", lambda raw, out: vhd.write_dynamic(raw, out, disk.identity(NAME, raw)))
