"""Disk images made of another disk image: the same disk, kept in another way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pipeline.compression import compress
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Sink, files
from pipeline.stages import pieces
from pipeline.store import Store
from pipeline.writers import qcow2, qcow2compressed

VERSION = f"qcow2-{qcow2.VERSION} qcow2packed-{qcow2compressed.VERSION} {compress.VERSION}"


def disk(store: Store, image: Digest) -> tuple[str, Content]:
    """The one file that a format gave: its suffix, and what it holds."""
    ((suffix, file),) = store.tree(image).files().items()
    return suffix, file.content


def converted(store: Store, image: Digest, suffix: str, write: Callable[[Content, Sink], object]) -> Digest:
    """Tree {suffix}: what `write` makes of the disk in `image`."""
    out = store.rope()
    write(disk(store, image)[1], out)
    return store.put_tree(files([(suffix, out.finish())]))


def qcow(store: Store, image: Digest, suffix: str, clusters: str) -> Digest:
    """Tree {suffix}: the disk in `image` as a qcow2 image, its clusters `plain` or compressed (`zstd[:level]`)."""
    if clusters == "plain":
        return converted(store, image, suffix, qcow2.write)
    body = store.rope()
    work = partial(qcow2compressed.compress_clusters, compress.block_compressor(compress.parse(clusters)))
    pack = partial(pieces.packed, store, f"qcow2 {clusters} {VERSION}", work)
    header = qcow2compressed.write(disk(store, image)[1], pack, body)
    return store.put_tree(files([(suffix, store.content(header) + body.finish())]))
