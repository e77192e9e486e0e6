"""Layers: uncompressed into the store, mapped into memory, indexed, laid over each other to make trees."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, Tree
from pipeline.oci.decompress import Budget, LayerFile, ahead, inflate
from pipeline.oci.error import Refusal
from pipeline.oci.flatten import Flattener
from pipeline.oci.sparse import Buffer
from pipeline.store import Store, progress_counter

UNPACKING = 1
"""Version of `uncompressed`: raised if what it accepts changes, so that nothing is believed that another one found."""


def uncompressed(
    store: Store, layer: Digest, diff_id: Digest, budget: Budget, packed: LayerFile | None = None
) -> Digest:
    """The blob (by sha256) that holds `layer` uncompressed; made if it is not there, and its diff id checked.

    packed: the layer's bytes, if they are not in the store yet; they must end only after they were verified. That a tar
    belongs to a layer is only believed where this function found it out itself, never from the config.
    """
    key = hashlib.sha256(f"{__name__}.uncompressed {UNPACKING} {layer} {diff_id}".encode()).hexdigest()
    with store.lock(f"layer-{layer.hex}"):
        if (known := store.recall(key)) is not None:
            budget.take(store.size(known))
            return known
        path = store.scratch()
        try:
            with store.open_checked(layer) if packed is None else contextlib.nullcontext(packed) as source:
                digest = _written(store, source, diff_id, budget, path)
            store.adopt(path, digest)
        except Refusal as error:
            raise Refusal(f"layer {layer}: {error}") from None
        finally:
            path.unlink(missing_ok=True)
        store.remember(key, digest)
    return digest


def _written(store: Store, source: LayerFile, diff_id: Digest, budget: Budget, path: Path) -> Digest:
    """Write the uncompressed `source` to `path`, check it, and return its sha256 digest."""
    named, checked = hashlib.sha256(), hashlib.new(diff_id.algorithm)
    with store.space(), open(path, "xb") as out:
        for chunk in ahead(inflate(source, budget)):
            named.update(chunk)
            if diff_id.algorithm != "sha256":
                checked.update(chunk)
            out.write(chunk)
            progress_counter.advance(len(chunk))
    if source.read(1):  # whoever gets to the end of what arrives knows that it was verified
        raise Refusal("something follows what it unpacks to")
    found = (named if diff_id.algorithm == "sha256" else checked).hexdigest()
    if found != diff_id.hex:
        raise Refusal(f"unpacks to {diff_id.algorithm}:{found}, not to its diff id {diff_id}")
    return Digest("sha256:" + named.hexdigest())


def flatten(store: Store, layers: list[Digest], budget: Budget | None = None) -> Tree:
    """The tree that the uncompressed `layers` make, the lowest first. Refusal names layer and entry; Damaged.

    budget: what the image may still grow to, by holes.
    """
    result = Flattener(budget=budget)
    for number, layer in enumerate(layers):
        content = (Slice(layer, 0, store.size(layer)),)
        try:
            with buffer(store, content) as archive:
                result.add(archive, content)
        except Refusal as error:
            store.verify(layer)
            raise Refusal(f"layer {number + 1} of {len(layers)} ({layer}): {error}") from None
    return result.tree()


def layer_tree(store: Store, blob: Digest, budget: Budget | None = None) -> Tree:
    """The tree in the uncompressed tar `blob`; `.wh.` names are names like any other."""
    return tar_tree(store, (Slice(blob, 0, store.size(blob)),), budget)


def tar_tree(store: Store, content: Content, budget: Budget | None = None) -> Tree:
    """The tree in an uncompressed tar that is itself `content` (a file of an image, say), its files slices of that.

    budget: where holes count, if not in one of its own.
    """
    result = Flattener(False, budget)
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
                file = stack.enter_context(store.open_checked(blob))
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
