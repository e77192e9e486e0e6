"""A content-addressed store: blobs by digest, trees among them, and the results of finished actions.

    cache/blobs/sha256/<hex>   immutable content; the folder is also an OCI image layout (image-spec, image-layout.md)
    cache/actions/ab/<key>     a sealed Record: the result of the action with this key, and how it was made
    cache/sums/ab/<hex>        memos: values derived from content, such as an exported content's SHA-256
    cache/spares/<hex>         seeds: previous versions of outputs, which the next ones are made of
    cache/locks/…              file locks, which the kernel releases when their process ends (flock)
    cache/tmp/…                files that are being written, renamed into place when they are whole
    cache/damage               changes whenever a damaged blob is found (see `derived`)

Everything is written beside its place and renamed, so a reader sees a whole object or none. Any number of threads,
processes and checkouts may use one store at once. Deleting any part of it costs time, never correctness: reading an
object that is missing or damaged raises Missing, and the engine makes the object again. No byte of a blob is returned
before its file, as it is now, is verified (see `verified`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pipeline.host import atomic
from pipeline.host.stamp import Stamp, settle_mtime, stamp
from pipeline.model import columns
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, Tree
from pipeline.store import locks
from pipeline.store import record as records
from pipeline.store.beyond import Beyond
from pipeline.store.errors import Damaged, Missing, StoreError, explained
from pipeline.store.interfaces import MEMO, SEEDS, Memo, Seed
from pipeline.store.reading import CHUNK, Reading
from pipeline.store.record import Record, touch
from pipeline.store.references import references
from pipeline.store.rope import BlobWriter, Rope
from pipeline.store.verified import Verified

T = TypeVar("T")

ENTRIES_IN_MEMORY = 100_000
"""Maximum entries of the trees that are kept parsed for the next stage: some 45 MB."""
PARTIAL = "partial-"
"""Prefix of names in tmp/ of downloads, which the next process resumes."""

__all__ = ["CHUNK", "BlobWriter", "Damaged", "Missing", "Record", "Rope", "Store", "StoreError"]


class Store:
    """The store in the folder `root`, which is created with the first object.

    memo, seed: its incremental work. beyond: called when the store first lacks something, or has something new.
    """

    def __init__(
        self, root: Path, memo: type[Memo] = Memo, seed: type[Seed] = Seed, beyond: Callable[[], Beyond] = Beyond
    ) -> None:
        self.root = root
        self._find_beyond = beyond
        self._beyond: Beyond | None = None
        self.memo, self.seed = memo(self), seed
        self._trees: dict[Digest, Tree] = {}
        self._records = records.Records(root)
        self._guard = threading.Lock()
        self._lease: locks.Lease | None = None
        self.verified = Verified(self)
        self.reading = Reading(self)

    # the folder itself

    def note(self, place: Path, data: bytes) -> None:
        """Writes the small file `place`, anywhere in the store, whole or not at all. StoreError."""
        partial = self.scratch()
        with self.space():
            try:
                with atomic.create(partial) as file:
                    file.write(data)
                atomic.rename(partial, place)
            except OSError:
                partial.unlink(missing_ok=True)
                raise

    def _leased(self) -> locks.Lease:
        """Returns this process' lease on names in tmp/, and creates the folders with it."""
        if self._lease is None:
            with self._guard, self.space():
                if self._lease is None:
                    self._lease = self._begin()
        return self._lease

    def _begin(self) -> locks.Lease:
        for name in ("blobs/sha256", "actions", MEMO, SEEDS, "locks", "tmp"):
            atomic.make_folder(self.root, name)
        self.check_folders()
        locks.leases(self.root / "tmp", PARTIAL)
        lease = locks.Lease(self.root / "tmp")
        weakref.finalize(self, lease.end)
        layout = self.root / "oci-layout"
        if not layout.exists():
            atomic.write(layout, '{"imageLayoutVersion":"1.0.0"}')
        return lease

    def check_folders(self) -> None:
        """Raises Symlinked if a folder of the store is a symlink, which would lead reads and writes elsewhere."""
        for folder in (self.root, *(self.root / name for name in ("blobs", "actions", MEMO))):
            for link in atomic.symlinks(folder):
                raise atomic.SymlinkOnPath(link)

    @property
    def beyond(self) -> Beyond:
        """Results of other machines."""
        if self._beyond is None:
            with self._guard:
                if self._beyond is None:
                    self._beyond = self._find_beyond()
        return self._beyond

    def _present(self, digest: Digest, take: Callable[[], T]) -> T:
        """Returns `take()`, which reads the file of a blob; that is brought first if it is not here. Missing."""
        try:
            return take()
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                if self.beyond.bring(self, digest):
                    return take()
            raise Missing(digest) from None

    @contextlib.contextmanager
    def space(self) -> Iterator[None]:
        """Turns an OSError of writing to the store into a StoreError."""
        try:
            yield
        except OSError as error:
            raise explained(error, self.root) from None

    # blobs

    def path(self, digest: Digest) -> Path:
        return self.root.joinpath("blobs", *digest.split(":"))

    def here(self, digest: Digest) -> bool:
        """Returns whether the store has a file of the blob."""
        return self.path(digest).exists()

    def has(self, digest: Digest) -> bool:
        """Returns whether the blob is here, or can be expected to be brought."""
        return self.here(digest) or self.beyond.size(digest) is not None

    def size(self, digest: Digest) -> int:
        """Returns the size of the blob in bytes. It is not brought for that. Missing."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            size = self.beyond.size(digest)
            return self.stat(digest).st_size if size is None else size

    def stat(self, digest: Digest) -> os.stat_result:
        return self._present(digest, lambda: os.stat(self.path(digest)))

    def gather(self, contents: Iterable[Content]) -> None:
        """Brings what is not here of `contents`, side by side; what cannot be brought is missing later."""
        blobs = {piece.blob for content in contents for piece in content if piece.blob is not None}
        if absent := [blob for blob in sorted(blobs) if not self.here(blob)]:
            self.beyond.bring_all(self, absent)

    def finish(self) -> None:
        """Waits for what is being given to others, within a bound."""
        if self._beyond is not None:
            self._beyond.finish()

    def put(self, data: bytes) -> Digest:
        """Stores `data`, unless it is there already, and returns its digest."""
        digest = Digest.of(data)
        if not self._holds(digest, data):
            with self.create() as blob:
                blob.write(data)
                blob.commit()
        return digest

    def _holds(self, digest: Digest, data: bytes) -> bool:
        """Returns whether the blob is there with the bytes `data`; its time stamp is then set to now."""
        try:
            with open(self.path(digest), "rb") as file:
                same = file.read() == data
                if same:
                    touch(file.fileno())
                    self.verified.add(digest, stamp(os.fstat(file.fileno())))
        except OSError:
            return False
        if not same:
            self.damaged(digest)
        return same

    @contextlib.contextmanager
    def create(self) -> Iterator[BlobWriter]:
        """Yields a new blob, written piece by piece; it is removed unless the body calls `commit`."""
        writer = BlobWriter(self)
        try:
            yield writer
        finally:
            writer.close()

    def adopt(self, path: Path, digest: Digest) -> None:
        """Turns the file `path` (named by `scratch`, whole, verified) into the blob `digest`."""
        with self.space():
            os.chmod(path, os.stat(path).st_mode & 0o444)  # the umask decides who may read it
            settle_mtime(path)
            atomic.rename(path, self.path(digest))
        self.verified.add(digest, stamp(self.stat(digest)))

    def open(self, digest: Digest) -> BinaryIO:
        """Opens a blob, which is verified. Missing; Damaged."""
        return self.open_verified(digest)[0]

    def open_verified(self, digest: Digest) -> tuple[BinaryIO, Stamp]:
        """Opens a blob, which is right while its file has the stamp. Missing; Damaged."""
        return self._present(digest, lambda: self.verified.open(digest))

    @contextlib.contextmanager
    def open_checked(self, digest: Digest) -> Iterator[BinaryIO]:
        """Opens a blob for a longer use. Damaged also at the end, if the file changed meanwhile."""
        file, before = self.open_verified(digest)
        with file:
            yield file
            if stamp(os.fstat(file.fileno())) != before:
                self.right(digest)

    def right(self, digest: Digest) -> Path:
        """Returns the path of a verified blob, for other programs. Missing; Damaged."""
        self.open(digest).close()
        return self.path(digest)

    def get(self, digest: Digest) -> bytes:
        """A small blob, whole and verified."""
        data = self._present(digest, self.path(digest).read_bytes)
        if hashlib.new(digest.algorithm, data).hexdigest() != digest.hex:
            raise self.damaged(digest)
        return data

    def verify(self, digest: Digest) -> None:
        """Read the blob `digest` and compare it with its name; Damaged if it is something else. Missing if not here."""
        try:
            file = open(self.path(digest), "rb")
        except FileNotFoundError:
            raise Missing(digest) from None
        with file:
            if hashlib.file_digest(file, digest.algorithm).hexdigest() != digest.hex:
                raise self.damaged(digest)

    def damaged(self, digest: Digest) -> Damaged:
        """Removes a damaged blob and what may be derived from it, and returns the error to raise."""
        from pipeline.store import derived

        try:
            derived.drop(self, [digest])
        except StoreError as error:
            raise StoreError(f"{self.path(digest)} is damaged and cannot be removed: {error}") from None
        self._trees.pop(digest, None)
        self.verified.clear()
        self.reading.close()
        return Damaged(digest)

    def clear(self, folder: str) -> None:
        """Removes all files of the store below `folder`. StoreError."""
        with self.space():
            for place, _, names in os.walk(self.root / folder):
                for name in names:
                    Path(place, name).unlink(missing_ok=True)

    def scratch(self) -> Path:
        """Returns a new name for a file, on the file system of the blobs."""
        return self._leased().name()

    # contents

    def read(self, content: Content) -> Iterator[bytes]:
        """Yields the bytes of `content`, at most CHUNK at a time. Missing, or Damaged if a blob ends early."""
        return self.reading.read(content)

    def content(self, data: bytes) -> Content:
        """Stores `data` and returns it as content."""
        return (Slice(self.put(data), 0, len(data)),) if data else ()

    def range(self, content: Content, offset: int, count: int) -> bytes:
        """Returns `count` bytes of `content` from `offset` on; fewer only at its end."""
        end = min(offset + count, trees.length(content))
        return self.bytes(trees.cut(content, offset, end - offset)) if offset < end else b""

    def bytes(self, content: Content, limit: int = 64 << 20) -> bytes:
        """Returns all bytes of `content`; StoreError if there are more than `limit`."""
        if trees.length(content) > limit:
            raise StoreError(f"{trees.length(content)} bytes where at most {limit} are expected")
        return b"".join(self.read(content))

    def rope(self) -> Rope:
        """Returns a new sink for a content."""
        return Rope(self)

    def export(self, content: Content, path: Path) -> Digest:
        """Writes `content` to the host's file `path`, holes kept. Returns its SHA-256. Missing; Damaged; StoreError."""
        from pipeline.store import export

        return export.export(self, content, path)

    # trees

    def put_tree(self, tree: Tree) -> Digest:
        digest = self.put(columns.dump(tree))
        self._cache_tree(digest, Tree(tree))
        return digest

    def tree(self, digest: Digest) -> Tree:
        """Returns the tree `digest`. It is shared: callers must not change it."""
        if (tree := self._trees.get(digest)) is None:
            tree = columns.load(self.get(digest))
        self._cache_tree(digest, tree)
        return tree

    def _cache_tree(self, digest: Digest, tree: Tree) -> None:
        """Keeps `tree` parsed, and of the others those that were used last."""
        with self._guard:
            self._trees.pop(digest, None)
            while self._trees and sum(map(len, self._trees.values())) + len(tree) > ENTRIES_IN_MEMORY:
                del self._trees[next(iter(self._trees))]
            self._trees[digest] = tree

    # finished actions

    def recall(self, key: str, facts: Callable[[], dict[str, Any]] | None = None) -> Digest | None:
        """Returns the result of the action `key`; None if it was not recorded, or its blob is gone.

        facts: of the action, for a record from beyond; without it, others are not asked for one.
        """
        record = self.record(key)
        if record is None or not self._is_whole(record):
            if facts is None or (record := self.beyond.record(self, key)) is None:
                return None
            self._note(key, record := record._replace(facts={**facts(), **record.facts}))
        with contextlib.suppress(StoreError):  # a store that only others may write can still be read
            self._leased()
        self._records.touch(key)
        return record.result

    def _is_whole(self, record: Record) -> bool:
        """Returns whether the result is here, and all that it needs here or beyond."""
        if absent := {blob: size for blob, size in record.blobs.items() if not self.here(blob)}:
            return self.beyond.whole(self, absent)
        try:
            return os.stat(self.path(record.result)).st_size == record.size
        except OSError:
            return False

    def record(self, key: str) -> Record | None:
        """Returns the record of the action `key`, even if its result is gone; None if there is none."""
        return self._records.get(key)

    def remember(self, key: str, result: Digest, facts: Mapping[str, Any] | None = None) -> Record:
        """Records that the action `key` gave `result`, which is in the store. facts: JSON values."""
        record = Record(result, self.size(result), dict(facts or {}))
        if facts and self.beyond.keeps:
            record = record._replace(blobs={blob: self.size(blob) for blob in references(self, result)})
        self.keep(key, record)
        return record

    def keep(self, key: str, record: Record) -> None:
        """Keeps `record` as that of the action `key`, and offers it to others."""
        self._note(key, record)
        self.beyond.offer(self, key, record)

    def _note(self, key: str, record: Record) -> None:
        self.note(records.place(self.root, key), record.dump(key))

    def forget(self, key: str) -> None:
        """Drops the record of the action `key`."""
        with self.space():
            records.place(self.root, key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds the lock `name`, exclusive among all threads and processes that use this store."""
        self._leased()
        path = self.root / "locks" / name
        with self.space():
            file = locks.take(path)
        assert file is not None
        try:
            yield
        finally:
            locks.drop(path, file)
