"""Listings (path -> Node, as readers give them) of trees in the store and of whole files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Entry, File, Slice
from pipeline.readers import HEADER, Listing, Node, look_into, trees
from pipeline.readers.trees import KINDS, properties
from pipeline.readers.view import BytesView, ConcatView, HostFile, View, ViewSlice
from pipeline.store import Store

DEEPEST = 12
"""Maximum nesting of structures: qcow2, disk, FAT, UKI, initrd, archive, cpio, and some more."""


def of_blob(store: Store, digest: Digest) -> View:
    return HostFile(store.right(digest), digest)


def of_content(store: Store, content: Content) -> View:
    """The bytes of `content`, which are read on demand."""
    blobs: dict[Digest, View] = {}

    def extent(piece: Slice) -> ViewSlice:
        if piece.blob is None:
            return ViewSlice(None, 0, piece.length)
        return ViewSlice(blobs.setdefault(piece.blob, of_blob(store, piece.blob)), piece.offset, piece.length)

    return ConcatView(map(extent, content)) if content else BytesView(b"")


def of_tree(store: Store, tree: Mapping[str, Entry]) -> Listing:
    """The entries of a tree."""
    return {path or ".": _node(store, entry) for path, entry in tree.items()}


def _node(store: Store, entry: Entry) -> Node:
    content = of_content(store, entry.content) if isinstance(entry, File) else None
    return Node(KINDS[type(entry)], properties(entry, content=False), content)


def of_result(store: Store, digest: Digest) -> Listing | View:
    """The result of a stage: a tree's listing, or the bytes of another blob (an image's manifest)."""
    if is_tree(store, digest):
        return of_tree(store, store.tree(digest))
    return of_blob(store, digest)


def is_tree(store: Store, digest: Digest) -> bool:
    """Returns True if the blob `digest` is a tree."""
    return trees.recognises(of_blob(store, digest))


def root_of(view: View) -> Listing | None:
    """The root file system in a file of any format: its initrd (the archives' entries, merged), squashfs, ext4 or tar.

    None if no reader finds one.
    """
    merged: dict[str, Node] = {}
    for listing in _roots(view, 0):
        merged.update(listing)
    return merged or None


def _roots(view: View, depth: int) -> Iterator[Listing]:
    opened = look_into(view) if depth < DEEPEST else None
    if opened is None:
        return
    if is_root(opened.listing):
        yield {path: node for path, node in opened.listing.items() if path != HEADER}
        return
    for path, node in opened.listing.items():
        if node.content is not None and opened.structure in CONTAINERS and not path.startswith("("):
            yield from _roots(node.content, depth + 1)


CONTAINERS = ("archives", "disk", "FAT", "ISO 9660", "PE", "qcow2", "VMDK", "VHD", "VHDX", "tar", "cpio")
"""Structures that may contain a root file system."""


def is_root(listing: Listing) -> bool:
    """Returns True if a listing is (a part of) a root file system rather than a container of one."""
    return any(path.startswith(("etc/", "bin/", "usr/", "containers/", "lib/", "sbin/")) for path in listing)
