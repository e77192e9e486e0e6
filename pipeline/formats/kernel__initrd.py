"""kernel+initrd: the kernel, the initial RAM disk and the command line as files, for whatever boots them directly."""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.stages.direct_boot import direct_boot
from pipeline.store import Store

VERSION = 1


def build(store: Store, kernel: Digest, initrd: Digest) -> Digest:
    """Tree {"-kernel", "-cmdline", "-initrd.img"}; a node without a kernel has the last alone."""
    return direct_boot(store, kernel, "-initrd.img", store.tree(initrd).file("initrd.img").content)


FORMAT = Format(
    "kernel+initrd", build, needs=("kernel", "initrd"), options=(), produces=("-kernel", "-initrd.img", "-cmdline"),
    firmware=Firmware.DIRECT,
)  # fmt: skip
