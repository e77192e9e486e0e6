"""tar-kernel-initrd: what kernel+initrd gives, in one archive."""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.model.tree import Tree, files
from pipeline.store import Store
from pipeline.writers import tar

VERSION = tar.VERSION
MEMBERS = ("cmdline", "initrd.img", "kernel", "ucode.cpio")


def build(store: Store, kernel: Digest, initrd: Digest) -> Digest:
    """Tree {"-initrd.tar"}: kernel, cmdline, initrd.img and, if there is any, the microcode by itself (ucode.cpio)."""
    sources = {**store.tree(kernel).files(), **store.tree(initrd).files()}
    members = Tree((path, sources[path]) for path in MEMBERS if path in sources)
    out = store.rope()
    tar.write(members, out)
    return store.put_tree(files([("-initrd.tar", out.finish())]))


FORMAT = Format(
    "tar-kernel-initrd", build, needs=("kernel", "initrd"), options=(), produces=("-initrd.tar",),
    firmware=Firmware.DIRECT,
)  # fmt: skip
