"""dynamic-vhd: the disk of raw-bios as a dynamic VHD (Hyper-V)."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages.bootvolume import part
from pipeline.store import Store
from pipeline.tree import files
from pipeline.writers import disk, vhd

NAME = "dynamic-vhd"
VERSION = vhd.VERSION
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = ("-dynamic.vhd",)


def build(store: Store, raw: Digest) -> Digest:
    """Tree {"-dynamic.vhd"}."""
    content = part(store, raw, "-bios.img")
    out = store.rope()
    vhd.write_dynamic(content, out, disk.identity(NAME, content))
    return store.put_tree(files([("-dynamic.vhd", out.finish())]))
