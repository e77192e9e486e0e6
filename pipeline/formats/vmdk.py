"""vmdk: the disk of raw-bios as a stream-optimised VMDK, for VMware's machines."""

from __future__ import annotations

from functools import partial

from pipeline.compression import compress
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import pieces
from pipeline.stages.bootvolume import part
from pipeline.store import Store
from pipeline.writers import deflated, disk, vmdk

NAME = "vmdk"
VERSION = f"{vmdk.VERSION} deflated-{deflated.VERSION} {compress.VERSION}"
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".vmdk",)
LARGEST_DISK = vmdk.LARGEST
LEVEL = 1
"""Most of a node's disk is compressed already."""


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".vmdk"}."""
    content = part(store, raw, "-bios.img")
    work = pieces.each(partial(vmdk.packed, compress.zlib(LEVEL)))
    pack = partial(pieces.headed, store, f"vmdk {LEVEL} {VERSION}", work)
    out = store.rope()
    vmdk.write(content, pack, out, disk.identity(NAME, content).time_low)
    return store.put_tree(files([(".vmdk", out.finish())]))
