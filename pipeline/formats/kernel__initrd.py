"""kernel+initrd: the kernel, the initial RAM disk and the command line as files, for whatever boots them directly."""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.model.tree import File
from pipeline.stages.handed import handed
from pipeline.store import Store

VERSION = 1


def build(store: Store, kernel: Digest, initrd: Digest) -> Digest:
    """Tree {"-kernel", "-cmdline", "-initrd.img"}; a node without a kernel has the last alone."""
    entry = store.tree(initrd)["initrd.img"]
    assert type(entry) is File
    return handed(store, kernel, "-initrd.img", entry.content)


FORMAT = Format(
    "kernel+initrd", build, needs=("kernel", "initrd"), options=(), produces=("-kernel", "-initrd.img", "-cmdline"),
    firmware=Firmware.DIRECT,
)  # fmt: skip
