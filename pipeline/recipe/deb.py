"""Debian packages as values: the files in a .deb as a Tree (deb(5); ar(5), the common variant without long names).

A .deb is an ar archive of `debian-binary`, `control.tar*` and `data.tar*`. Its data is decompressed once, into a blob
that every recipe shares; nothing is extracted, no maintainer script is looked at.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, Protocol

from pipeline.engine.action import Action
from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError
from pipeline.model.tree import File, Tree, below
from pipeline.oci.decompress import Budget
from pipeline.oci.error import Refusal
from pipeline.oci.layer import layer_tree
from pipeline.store import CHUNK, Store

VERSION = 1

SIZE_LIMIT = 16 << 30
"""Bytes that a package's files may come to, holes included: some twenty times the largest package of Debian."""
WINDOW = 1 << 27
"""Memory that a zstd frame may ask for: 128 MiB, what dpkg-deb's highest level makes."""

_MAGIC = b"!<arch>\n"
_HEADER = 60
"""Bytes of a member's header: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, and the magic "`\\n"."""


class BadPackage(NodekilnError):
    """A file that is no .deb, or one that is damaged."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Member(NamedTuple):
    """A member of an ar archive: where its data stands."""

    name: str
    offset: int
    size: int


def unpack(store: Store, packages: Digest) -> Digest:
    """The files of every package in the Tree `packages` ({NAME.deb: File}): a Tree with one folder a package, NAME/….

    BadPackage names the package that cannot be read.
    """
    from concurrent.futures import ThreadPoolExecutor

    debs = {path.removesuffix(".deb"): entry for path, entry in store.tree(packages).files().items()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        trees = list(pool.map(lambda name: _unpacked(store, name, debs[name]), debs))
    unpacked = Tree()
    for name, tree in zip(debs, trees, strict=True):
        unpacked.update(below(name, store.tree(tree)))
    return store.put_tree(unpacked.ordered())


def files(store: Store, *, deb: str) -> Digest:
    """A stage of its own, so that a package that many recipes name is unpacked once: the Tree in the blob `deb`."""
    with store.open_checked(Digest.parse(deb)) as file, store.create() as blob:
        data = next((member for member in members(file) if member.name.startswith("data.tar")), None)
        if data is None:
            raise BadPackage("no data.tar in it")
        for chunk in _decompressed(data.name, io.BufferedReader(_Section(file, data.offset, data.size), CHUNK)):
            blob.write(chunk)
            if blob.size > SIZE_LIMIT:
                raise BadPackage(f"its files are more than {SIZE_LIMIT >> 30} GiB")
        budget = Budget(blob.size, SIZE_LIMIT - blob.size)
        return store.put_tree(layer_tree(store, blob.commit(), budget))


def members(file: BinaryIO) -> Iterator[Member]:
    """The members of the ar archive `file`."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise BadPackage("no ar archive")
    offset, end = len(_MAGIC), file.seek(0, os.SEEK_END)
    while offset < end:
        file.seek(offset)
        header = file.read(_HEADER)
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
            raise BadPackage(f"no ar header at byte {offset}")
        offset += _HEADER
        if offset + int(size) > end:
            raise BadPackage("it is cut off")
        yield Member(header[:16].decode("ascii", "replace").rstrip(" /"), offset, int(size))
        offset += int(size) + int(size) % 2


def _unpacked(store: Store, name: str, deb: File) -> Digest:
    try:
        return Action(f"unpack {name}", files, {"deb": deb.content[0].blob}).perform(store)[0]
    except (BadPackage, Refusal) as error:
        raise BadPackage(f"package {name}: {error}") from None


def _decompressed(name: str, section: BinaryIO) -> Iterator[bytes]:
    """The bytes of the member `name`, which its suffix says is compressed, in chunks of at most CHUNK."""
    import lzma
    import zlib

    errors: tuple[type[Exception], ...] = (lzma.LZMAError, zlib.error, EOFError, OSError)
    if name.endswith(".zst"):
        import zstandard

        errors = (zstandard.ZstdError,)
    try:
        tar = _opened(name, section)
        while chunk := tar.read(CHUNK):
            yield chunk
    except errors as error:
        raise BadPackage(f"{name} is damaged: {error}") from None


def _opened(name: str, section: BinaryIO) -> Readable:
    suffix = name.removeprefix("data.tar")
    if suffix == ".xz":
        import lzma

        return lzma.open(section)
    if suffix == ".gz":
        import gzip

        return gzip.open(section)
    if suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(section)
    if suffix == "":
        return section
    raise BadPackage(f"{name} is compressed in a way that deb(5) does not know")


class _Section(io.RawIOBase):
    """`size` bytes of `file` from `start` on, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, space: Any) -> int:
        data = self._file.read(min(len(space), self._left))
        space[: len(data)] = data
        self._left -= len(data)
        return len(data)
