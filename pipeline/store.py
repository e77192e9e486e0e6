"""Store: blobs by digest, trees among them, and what finished actions gave.

    cache/blobs/sha256/<hex>   immutable content; the folder is an OCI image layout too (image-spec, image-layout.md)
    cache/actions/ab/<key>     the digest that an action with this key gave
    cache/locks/…              held by the kernel (flock), so a killed process never leaves one behind
    cache/tmp/…                what is being written; renamed into place when it is whole

Everything is written beside its place and renamed, so a reader sees a whole object or none. Any number of threads,
processes and checkouts may use one store at once. Deleting any part of it costs time, never correctness.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline import tree as trees
from pipeline.digest import Digest
from pipeline.errors import NodekilnError
from pipeline.tree import Content, Slice, Tree

CHUNK = 1 << 20
"""Bytes that are read or copied at a time."""
TREES_IN_MEMORY = 8
"""Trees that stay parsed for the next stage of this process."""


class StoreError(NodekilnError):
    """The store cannot do what was asked: no space, no permission, or an object that is damaged."""


class Missing(StoreError):
    """A blob that is not here (collected, or never was)."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"{digest} is not in the store")
        self.digest = digest


class Writer:
    """A blob that is being written. `commit` gives it its name; leaving it uncommitted removes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.scratch()
        self._file: BinaryIO = open(self._path, "xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        self._hash.update(data)
        self._file.write(data)
        self.size += len(data)
        return len(data)

    def commit(self) -> Digest:
        """Name the blob by its sha256 and put it into the store."""
        self._file.close()
        digest = Digest("sha256:" + self._hash.hexdigest())
        self._store.adopt(self._path, digest)
        return digest

    def close(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class Store:
    """A content-addressed store in the folder `root`, made when something is first written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trees: dict[Digest, Tree] = {}
        self._guard = threading.Lock()
        self._ready = False

    # blobs

    def path(self, digest: Digest) -> Path:
        return self.root / "blobs" / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int:
        with self._present(digest):
            return self.path(digest).stat().st_size

    def put(self, data: bytes) -> Digest:
        """Store `data` (if it is not there yet) and return its digest."""
        digest = Digest.of(data)
        if not self.has(digest):
            with self.create() as blob:
                blob.write(data)
                blob.commit()
        return digest

    @contextlib.contextmanager
    def create(self) -> Iterator[Writer]:
        """A new blob, written piece by piece; it is dropped unless the body calls `commit`."""
        with self._space():
            writer = Writer(self)
            try:
                yield writer
            finally:
                writer.close()

    def adopt(self, path: Path, digest: Digest) -> None:
        """Take the file `path` (in `scratch`'s folder, whole, already verified) as the blob `digest`."""
        os.chmod(path, 0o444)
        place = self.path(digest)
        place.parent.mkdir(exist_ok=True)
        os.replace(path, place)

    def open(self, digest: Digest) -> BinaryIO:
        with self._present(digest):
            return open(self.path(digest), "rb")

    def get(self, digest: Digest) -> bytes:
        """A small blob, whole."""
        with self._present(digest):
            return self.path(digest).read_bytes()

    def scratch(self) -> Path:
        """A new name for a file that is on the same file system as the blobs."""
        self._prepare()
        return self.root / "tmp" / f"{os.getpid()}-{os.urandom(8).hex()}"

    # contents

    def read(self, content: Content) -> Iterator[bytes]:
        """The bytes of `content` in chunks of at most CHUNK."""
        for blob, offset, length in content:
            if blob is None:
                while length:
                    size = min(length, CHUNK)
                    yield bytes(size)
                    length -= size
                continue
            with self.open(blob) as file:
                file.seek(offset)
                while length:
                    data = file.read(min(length, CHUNK))
                    if not data:
                        raise StoreError(f"{blob} is shorter than it was: delete {self.path(blob)}, it is made again")
                    yield data
                    length -= len(data)

    def content(self, data: bytes) -> Content:
        """`data` as content, stored."""
        return (Slice(self.put(data), 0, len(data)),) if data else ()

    def bytes(self, content: Content, limit: int = 64 << 20) -> bytes:
        """Small content, whole; StoreError if it is larger than `limit` bytes."""
        if trees.length(content) > limit:
            raise StoreError(f"{trees.length(content)} bytes where at most {limit} are expected")
        return b"".join(self.read(content))

    def rope(self) -> Rope:
        """A new sink; what is written to it ends up in one blob, what is extended stays by reference."""
        return Rope(self)

    def export(self, content: Content, path: Path) -> Digest:
        """Write `content` to the host file `path` (beside it, then renamed), holes kept; its sha256 is returned."""
        digest = hashlib.sha256()
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with self._space(), open(partial, "wb") as out:
                for piece in content:
                    if piece.blob is None:
                        out.seek(piece.length, os.SEEK_CUR)
                        for data in self.read((piece,)):
                            digest.update(data)
                    else:
                        for data in self.read((piece,)):
                            digest.update(data)
                            out.write(data)
                out.truncate(trees.length(content))
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return Digest("sha256:" + digest.hexdigest())

    # trees

    def put_tree(self, tree: Tree) -> Digest:
        return self.put(trees.dump(tree))

    def tree(self, digest: Digest) -> Tree:
        """The tree that `digest` names. Shared: callers must not change it."""
        found = self._trees.get(digest)
        if found is None:
            found = trees.load(self.get(digest))
            with self._guard:
                while len(self._trees) >= TREES_IN_MEMORY:
                    del self._trees[next(iter(self._trees))]
                self._trees[digest] = found
        return found

    # finished actions

    def recall(self, key: str) -> Digest | None:
        """What the action `key` gave, if it has been done and its result is still here."""
        try:
            result = Digest.parse((self.root / "actions" / key[:2] / key).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return result if self.has(result) else None

    def remember(self, key: str, result: Digest) -> None:
        place = self.root / "actions" / key[:2] / key
        partial = self.scratch()
        with self._space():
            partial.write_text(result)
            place.parent.mkdir(exist_ok=True)
            os.replace(partial, place)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against every other thread and process that uses this store."""
        self._prepare()
        with open(self.root / "locks" / name, "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # the folder itself

    def _prepare(self) -> None:
        if self._ready:
            return
        with self._space():
            for name in ("blobs/sha256", "actions", "locks", "tmp"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            layout = self.root / "oci-layout"
            if not layout.exists():
                layout.write_text('{"imageLayoutVersion":"1.0.0"}')
        self._ready = True

    @contextlib.contextmanager
    def _present(self, digest: Digest) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise Missing(digest) from None

    @contextlib.contextmanager
    def _space(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"no space left for {self.root}: free some, or run `doit gc`") from None
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise StoreError(f"{self.root} cannot be written: {error.strerror} ({error.filename})") from None
            raise


_OWN = Digest("")
"""Stands for a rope's own blob until that has a name."""


class Rope:
    """A Sink that builds a Content: own bytes go into one new blob, existing content is taken by reference."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own = Writer(store)
        self._pieces: list[Slice] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if data:
            self._add(_OWN, self._own.size, len(data))
            self._own.write(data)

    def extend(self, content: Content) -> None:
        for piece in content:
            self._add(*piece)

    def zeros(self, count: int) -> None:
        if count:
            self._add(None, 0, count)

    def tell(self) -> int:
        return self._size

    def finish(self) -> Content:
        """Store the bytes that were written and return the whole as content."""
        own = self._own.commit() if self._own.size else None
        self._own.close()
        return tuple(Slice(own if blob is _OWN else blob, offset, size) for blob, offset, size in self._pieces)

    def _add(self, blob: Digest | None, offset: int, size: int) -> None:
        self._size += size
        if self._pieces:
            last_blob, last_offset, last_size = self._pieces[-1]
            if last_blob == blob and (blob is None or last_offset + last_size == offset):
                self._pieces[-1] = Slice(blob, last_offset, last_size + size)
                return
        self._pieces.append(Slice(blob, offset, size))
