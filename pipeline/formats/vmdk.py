"""vmdk: the disk of raw-bios as a stream-optimised VMDK, for VMware's machines."""

from __future__ import annotations

from functools import partial

from pipeline.compression import compress
from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.incremental import compress_headed_blocks, one_by_one
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store
from pipeline.writers import disk, store_or_deflate, vmdk

VERSION = f"{vmdk.VERSION} deflated-{store_or_deflate.VERSION} {compress.VERSION}"
LEVEL = 1
"""Most of a node's disk is compressed already."""


def build(store: Store, raw: Digest) -> Digest:
    content = required_file(store, raw, "-bios.img")
    work = one_by_one(partial(vmdk.compress_grain, compress.zlib(LEVEL)))
    pack = partial(compress_headed_blocks, store, f"vmdk {LEVEL} {VERSION}", work)
    out = store.rope()
    vmdk.write(content, pack, out, disk.identity(FORMAT.name, content).time_low)
    return store.put_tree(files([(".vmdk", out.finish())]))


FORMAT = Format(
    "vmdk", build, needs=(Output("raw-bios"),), options=(), produces=(".vmdk",), firmware=Firmware.BIOS,
    drive=Drive("vmdk", compressible=False), largest_disk=vmdk.LARGEST,
)  # fmt: skip
