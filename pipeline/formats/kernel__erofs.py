"""kernel+erofs: the kernel, its command line, and the root file system as a read-only erofs.

Compressed with LZ4, the only algorithm of erofs that every kernel has: `compress` says how well, in the levels of zstd
or gzip up to 12. `none` stores files as they are, which takes less time to make, and to read.
"""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.stages import erofs_root, verity
from pipeline.store import Store
from pipeline.writers import erofs, erofsmeta

VERSION = f"{erofs_root.VERSION} verity-{verity.VERSION}"


def build(store: Store, kernel: Digest, rootfs: Digest, **options: str) -> Digest:
    """Tree {"-kernel", "-cmdline", "-erofs.img"}; what is below boot/ is not in the file system.

    compress: as erofs_root.volume's. verity: reaction to a damaged block; a hash tree follows the root.
    """
    root = erofs_root.volume(store, rootfs, options.get("compress", "zstd"))
    return verity.root_and_tree(store, kernel, "-erofs.img", root, options)


FORMAT = Format(
    "kernel+erofs", build, needs=("kernel", "rootfs"), options=("compress", "name", "verity"),
    produces=("-kernel", "-cmdline", "-erofs.img"), firmware=Firmware.DIRECT, carried=erofsmeta.CARRIED,
    largest_file=erofs.LARGEST_FILE,
)  # fmt: skip
