"""gcp: the disk of raw-bios as Google Compute Engine imports it: `disk.raw`, a whole number of GiB, in a tar.gz.

Source: cloud.google.com/compute/docs/import/import-existing-image ("Requirements for the image file").
"""

from __future__ import annotations

from pipeline.formats import Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, File, Slice, Tree, files, length
from pipeline.stages import compressed_disk
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store
from pipeline.writers import tar

VERSION = f"2 tar-{tar.VERSION} packed-{compressed_disk.VERSION}"
UNIT = 1 << 30
COMPRESSION = "gzip:1"
"""Most of a node's disk is compressed already, and the rest is zeros."""


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".img.tar.gz"}; the disk ends in a hole up to the next GiB."""
    disk = required_file(store, raw, "-bios.img")
    disk += (Slice(None, 0, -length(disk) % UNIT),) if length(disk) % UNIT else ()
    archive = store.rope()
    tar.write(Tree({"disk.raw": File(0o644, 0, 0, EPOCH, (), disk)}), archive, tar.GNU)
    return compressed_disk.gz(store, store.put_tree(files([(".img.tar", archive.finish())])), compress=COMPRESSION)


FORMAT = Format(
    "gcp", build, needs=(Output("raw-bios"),), options=(), produces=(".img.tar.gz",), firmware=Firmware.BIOS
)
