"""Layers in the store: decompressed, mapped into memory, and made into trees."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, Tree
from pipeline.oci.decompress import Budget, LayerFile, decompress, read_ahead
from pipeline.oci.error import Refusal
from pipeline.oci.flatten import Flattener
from pipeline.oci.sparse import Buffer
from pipeline.store import Store, progress_counter

DECOMPRESSION = 1
"""Version of `decompressed`: raised when it accepts other layers, so that results of another version are not used."""


def decompressed(
    store: Store, layer: Digest, diff_id: Digest, budget: Budget, source: LayerFile | None = None
) -> Digest:
    """Returns the sha256 blob of `layer` decompressed, made if it is not in the store. Refusal for a wrong diff id.

    source: the layer's bytes if they are not in the store yet; it must end only after they are verified. The result is
    recorded under layer and diff id, so it is never taken from an image's configuration alone.
    """
    key = hashlib.sha256(f"{__name__}.decompressed {DECOMPRESSION} {layer} {diff_id}".encode()).hexdigest()
    with store.lock(f"layer-{layer.hex}"):
        if (result := store.recall(key)) is not None:
            budget.take(store.size(result))
            return result
        path = store.scratch()
        try:
            with store.open_checked(layer) if source is None else contextlib.nullcontext(source) as file:
                digest = _write(store, file, diff_id, budget, path)
            store.adopt(path, digest)
        except Refusal as error:
            raise Refusal(f"layer {layer}: {error}") from None
        finally:
            path.unlink(missing_ok=True)
        store.remember(key, digest)
    return digest


def _write(store: Store, source: LayerFile, diff_id: Digest, budget: Budget, path: Path) -> Digest:
    """Writes `source` decompressed to `path`, checks its diff id, and returns its sha256 digest."""
    sha256 = hashlib.sha256()
    checked = sha256 if diff_id.algorithm == "sha256" else hashlib.new(diff_id.algorithm)
    with store.space(), open(path, "xb") as out:
        for chunk in read_ahead(decompress(source, budget)):
            sha256.update(chunk)
            if checked is not sha256:
                checked.update(chunk)
            out.write(chunk)
            progress_counter.advance(len(chunk))
    if source.read(1):  # a download ends only when it is verified
        raise Refusal("data follows the compressed tar")
    if checked.hexdigest() != diff_id.hex:
        raise Refusal(f"unpacks to {diff_id.algorithm}:{checked.hexdigest()}, not to its diff id {diff_id}")
    return Digest("sha256:" + sha256.hexdigest())


def flatten(store: Store, layers: list[Digest], budget: Budget | None = None) -> Tree:
    """Returns the tree of the decompressed `layers`, the lowest first. Refusal names layer and entry; Damaged.

    budget: limit of the image, for holes.
    """
    flattener = Flattener(budget=budget)
    for number, layer in enumerate(layers):
        try:
            _add(flattener, store, content_of(store, layer))
        except Refusal as error:
            store.verify(layer)
            raise Refusal(f"layer {number + 1} of {len(layers)} ({layer}): {error}") from None
    return flattener.tree()


def layer_tree(store: Store, blob: Digest, budget: Budget | None = None) -> Tree:
    """Returns the tree in the decompressed tar `blob`; `.wh.` names have no special meaning."""
    return tar_tree(store, content_of(store, blob), budget)


def tar_tree(store: Store, content: Content, budget: Budget | None = None) -> Tree:
    """Returns the tree in a tar that is itself `content` (a file of an image, say); its files are slices of that.

    budget: counts holes; by default the tar has a budget of its own.
    """
    flattener = Flattener(False, budget)
    _add(flattener, store, content)
    return flattener.tree()


def content_of(store: Store, blob: Digest) -> Content:
    return (Slice(blob, 0, store.size(blob)),)


def _add(flattener: Flattener, store: Store, content: Content) -> None:
    with buffer(store, content) as archive:
        flattener.add(archive, content)


@contextlib.contextmanager
def buffer(store: Store, content: Content) -> Iterator[Buffer]:
    """Yields `content` as bytes that can be sliced; blobs are mapped into memory, not read."""
    with contextlib.ExitStack() as stack:
        maps: dict[Digest | None, Buffer] = {}
        for blob, _, _ in content:
            if blob is not None and blob not in maps:
                file = stack.enter_context(store.open_checked(blob))
                maps[blob] = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if len(content) == 1 and content[0].blob and len(maps[content[0].blob]) == content[0].length:
            yield maps[content[0].blob]
        else:
            yield _ContentBuffer(content, maps)


class _ContentBuffer:
    """A Buffer of content that is not one whole blob."""

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
