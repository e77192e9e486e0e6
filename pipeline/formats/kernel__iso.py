"""kernel+iso: the kernel, its command line, and the root file system as an ISO 9660 disc (Rock Ridge, Joliet)."""

from __future__ import annotations

from functools import partial

from pipeline.formats import Firmware, Format
from pipeline.incremental import memoized
from pipeline.model.digest import Digest
from pipeline.model.tree import outside
from pipeline.stages.carried import warn_of
from pipeline.stages.direct_boot import direct_boot
from pipeline.store import Store
from pipeline.writers import iso9660, rockridge

VERSION = iso9660.VERSION
LABEL = "LINUXKIT"
"""LinuxKit's label of such a disc."""


def build(store: Store, kernel: Digest, rootfs: Digest) -> Digest:
    """Tree {"-kernel", "-cmdline", ".iso"}; what is below boot/ is not on the disc, and attributes are left out."""
    tree = outside("boot", store.tree(rootfs))
    warn_of(rockridge.CARRIED, tree)
    out = store.rope()
    iso9660.write(iso9660.plan(tree, partial(memoized, store)), out, LABEL)
    return direct_boot(store, kernel, ".iso", out.finish())


FORMAT = Format(
    "kernel+iso", build, needs=("kernel", "rootfs"), options=(), produces=("-kernel", "-cmdline", ".iso"),
    firmware=Firmware.DIRECT, carried=rockridge.CARRIED, largest_file=iso9660.LARGEST_FILE,
)  # fmt: skip
