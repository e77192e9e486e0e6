"""bootrd: the small initrd that mounts a root file system from a disk, for kernel+squashfs, kernel+erofs and the like.

It goes between a kernel whose drivers are modules and a disk: boot it with `root=/dev/vda`, or as README.md of
images/init says. The disk of the format ext4 has it inside.
"""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import boot_partition
from pipeline.store import Store

VERSION = 1


def build(store: Store, bootrd: Digest) -> Digest:
    return store.put_tree(files([("-bootrd.img", boot_partition.required_file(store, bootrd, "initrd.img"))]))


FORMAT = Format("bootrd", build, needs=("bootrd",), options=(), produces=("-bootrd.img",), firmware=Firmware.DIRECT)
