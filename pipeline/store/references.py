"""Lists the blobs that a result refers to: a tree, an image's manifest (image-spec, manifest.md), or other bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.model.columns import START
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.store.errors import Damaged, Missing

if TYPE_CHECKING:
    from pipeline.store import Record, Store

DOCUMENT_LIMIT = 4 << 20
"""Maximum size of a manifest, in bytes, as in registries."""
LISTED = 1 << 16
"""Bytes that are read at a time to find a tree's list of blobs, which is mostly short."""


def references(store: Store, result: Digest, missing: bool = False) -> set[Digest]:
    """Returns `result` and the blobs that it refers to; with `missing`, only those that are not in the store."""
    blobs = {result, *_named(store, result)}
    return {blob for blob in blobs if not store.has(blob)} if missing else blobs


def blobs_of(store: Store, record: Record) -> Set[Digest]:
    """Returns all blobs that the result of `record` needs: those that it lists, else those that the result names."""
    return record.blobs.keys() or references(store, record.result)


def damage(store: Store, results: Iterable[Digest]) -> set[Digest]:
    """Reads everything that `results` refer to, removes damaged blobs, and returns their digests."""
    damaged = set()
    for blob in sorted({blob for result in results for blob in references(store, result)}):
        try:
            store.verify(blob)
        except Damaged:
            damaged.add(blob)
        except Missing:
            pass
    return damaged


def is_tree(store: Store, result: Digest) -> bool:
    """Returns whether the blob `result` is a tree."""
    with store.open(result) as file:
        return file.read(len(START)) == START


def named(file: BinaryIO) -> list[Digest]:
    """Returns the digests in the result that `file` contains; none if it is neither a tree nor a manifest."""
    start = file.read(len(START))
    if start == START:
        return _blobs(file)
    if start[:1] != b"{" or len(rest := file.read(DOCUMENT_LIMIT)) == DOCUMENT_LIMIT:
        return []
    try:
        return _descriptors(json.loads(start + rest))
    except (ValueError, RecursionError):
        return []


def _named(store: Store, result: Digest) -> list[Digest]:
    try:
        with store.open(result) as file:
            return named(file)
    except Missing:  # its references are known when it has been made again
        return []


def _blobs(file: BinaryIO) -> list[Digest]:
    """Returns the blobs of a tree without reading its entries: the list is flat, so it ends with the first bracket."""
    data = b""
    while b"]" not in data and (more := file.read(LISTED)):
        data += more
    return [Digest.parse(name) for name in json.loads(data[: data.index(b"]") + 1])]


def _descriptors(unsafe_document: Any) -> list[Digest]:
    """Returns the digests in an image's manifest (config and layers) or index (manifests)."""
    named = unsafe_document if isinstance(unsafe_document, dict) else {}
    digests = []
    for descriptor in [named.get("config"), *_list(named.get("layers")), *_list(named.get("manifests"))]:
        try:
            digests.append(Digest.parse(descriptor["digest"]))
        except (InvalidDigest, TypeError, KeyError):
            continue
    return digests


def _list(unsafe_value: Any) -> list[Any]:
    return unsafe_value if isinstance(unsafe_value, list) else []
