"""Layers that are in the store, as trees: mapped into memory, indexed, laid over each other."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator

from pipeline import tree as trees
from pipeline.digest import Digest
from pipeline.oci.error import Refused
from pipeline.oci.flatten import Flattening
from pipeline.oci.sparse import Buffer
from pipeline.store import Store
from pipeline.tree import Content, Slice, Tree


def flatten(store: Store, layers: list[Digest]) -> Tree:
    """The tree that the uncompressed `layers` make, the lowest first. Refused names layer and entry; Damaged."""
    result = Flattening()
    for number, layer in enumerate(layers):
        content = (Slice(layer, 0, store.size(layer)),)
        try:
            with buffer(store, content) as archive:
                result.add(archive, content)
        except Refused as error:
            store.verify(layer)
            raise Refused(f"layer {number + 1} of {len(layers)} ({layer}): {error}") from None
    return result.tree()


def layer_tree(store: Store, blob: Digest) -> Tree:
    """The tree in the uncompressed tar `blob`; `.wh.` names are names like any other."""
    return tar_tree(store, (Slice(blob, 0, store.size(blob)),))


def tar_tree(store: Store, content: Content) -> Tree:
    """The tree in an uncompressed tar that is itself `content` (a file of an image, say), its files slices of that."""
    result = Flattening(whiteouts=False)
    with buffer(store, content) as archive:
        result.add(archive, content)
    return result.tree()


@contextlib.contextmanager
def buffer(store: Store, content: Content) -> Iterator[Buffer]:
    """`content` as bytes that can be sliced; blobs are mapped into memory, not read."""
    with contextlib.ExitStack() as stack:
        maps: dict[Digest | None, Buffer] = {}
        for blob, _, _ in content:
            if blob is not None and blob not in maps:
                file = stack.enter_context(store.open(blob))
                maps[blob] = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if len(content) == 1 and content[0].blob and len(maps[content[0].blob]) == content[0].length:
            yield maps[content[0].blob]
        else:
            yield _Window(content, maps)


class _Window:
    """Content of several slices as one Buffer."""

    def __init__(self, content: Content, maps: dict[Digest | None, Buffer]) -> None:
        self._content = content
        self._maps = maps
        self._size = trees.length(content)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, span: slice) -> bytes:
        start, stop, _ = span.indices(self._size)
        return b"".join(
            bytes(size) if blob is None else self._maps[blob][offset : offset + size]
            for blob, offset, size in trees.cut(self._content, start, max(stop - start, 0))
        )
