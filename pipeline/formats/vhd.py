"""vhd: the disk of raw-bios as a fixed VHD, as Azure takes it."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages.bootvolume import part
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import disk, vhd

NAME = "vhd"
VERSION = vhd.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".vhd",)


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".vhd"}."""
    content = part(store, raw, "-bios.img")
    out = store.rope()
    vhd.write_fixed(content, out, disk.identity(NAME, content))
    return store.put_tree(files([(".vhd", out.finish())]))
