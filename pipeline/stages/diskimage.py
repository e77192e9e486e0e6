"""Converts disk images: the same disk in another file format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pipeline.compression import compress
from pipeline.incremental import compress_blocks
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Sink, files
from pipeline.store import Store
from pipeline.writers import qcow2, qcow2compressed

VERSION = f"qcow2-{qcow2.VERSION} qcow2packed-{qcow2compressed.VERSION} {compress.VERSION}"


def disk(store: Store, image: Digest) -> tuple[str, Content]:
    """Returns the suffix and content of the one file in `image`."""
    ((suffix, file),) = store.tree(image).files().items()
    return suffix, file.content


def converted(store: Store, image: Digest, suffix: str, write: Callable[[Content, Sink], object]) -> Digest:
    """Returns Tree {suffix} with what `write` makes of the disk in `image`."""
    out = store.rope()
    write(disk(store, image)[1], out)
    return store.put_tree(files([(suffix, out.finish())]))


def qcow(store: Store, image: Digest, suffix: str, clusters: str) -> Digest:
    """Returns Tree {suffix} with the disk in `image` as qcow2. clusters: `plain` or a compression (`zstd[:level]`)."""
    if clusters == "plain":
        return converted(store, image, suffix, qcow2.write)
    body = store.rope()
    work = partial(qcow2compressed.compress_clusters, compress.block_compressor(compress.parse(clusters)))
    pack = partial(compress_blocks, store, f"qcow2 {clusters} {VERSION}", work)
    header = qcow2compressed.write(disk(store, image)[1], pack, body)
    return store.put_tree(files([(suffix, store.content(header) + body.finish())]))
