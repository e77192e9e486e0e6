"""Store: blobs by digest, trees among them, and what finished actions gave.

    cache/blobs/sha256/<hex>   immutable content; the folder is an OCI image layout too (image-spec, image-layout.md)
    cache/actions/ab/<key>     a Record: what the action with this key gave, and what is known about it; sealed
    cache/sums/ab/<hex>        facts: what reading bytes found out, such as an exported content's sha256
    cache/spares/<hex>         what an output was before: the next one is made of it
    cache/locks/…              held by the kernel (flock), so a killed process never leaves one behind
    cache/tmp/…                what is being written; renamed into place when it is whole
    cache/damage               other bytes whenever a damaged blob was found (see `derived`)

Everything is written beside its place and renamed, so a reader sees a whole object or none. Any number of threads,
processes and checkouts may use one store at once. Deleting any part of it costs time, never correctness: whoever needs
an object that is missing or damaged gets Missing, and the engine makes the object again. No byte of a blob is handed
out before its file, as it stands, is known to be right (see `vouch`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.host import atomic
from pipeline.host.stamp import settle_mtime, stamp
from pipeline.model import columns
from pipeline.model import tree as trees
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, Tree
from pipeline.store import held
from pipeline.store import record as records
from pipeline.store.fault import Damaged, Missing, StoreError, explained
from pipeline.store.reading import CHUNK, Reading
from pipeline.store.record import Record
from pipeline.store.rope import Rope, Writer
from pipeline.store.vouch import Vouched

ENTRIES_IN_MEMORY = 100_000
"""Entries of the trees that stay parsed for the next stage of this process: some 45 MB."""
PARTIAL = "partial-"
"""Names in tmp/ that start so are downloads, which the next process goes on with."""

__all__ = ["CHUNK", "Damaged", "Missing", "Record", "Rope", "Store", "StoreError", "Writer"]


class Store:
    """A content-addressed store in the folder `root`, made when something is first written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._trees: dict[Digest, Tree] = {}
        self._guard = threading.Lock()
        self._lease: held.Lease | None = None
        self.vouched = Vouched(self)
        self.reading = Reading(self)

    # the folder itself

    def note(self, place: Path, data: bytes) -> None:
        """Write the small file `place`, somewhere in the store, whole or not at all."""
        partial = self.scratch()
        with self.space():
            try:
                with atomic.create(partial) as file:
                    file.write(data)
                try:
                    os.replace(partial, place)
                except FileNotFoundError:
                    place.parent.mkdir(exist_ok=True)
                    os.replace(partial, place)
            except OSError:
                partial.unlink(missing_ok=True)
                raise

    def _leased(self) -> held.Lease:
        """This store's lease on names in tmp/; the folders are made with the first one."""
        if self._lease is None:
            with self._guard, self.space():
                if self._lease is None:
                    self._lease = self._begin()
        return self._lease

    def _begin(self) -> held.Lease:
        for name in ("blobs/sha256", "actions", "sums", "spares", "locks", "tmp"):
            atomic.make_folder(self.root, name)
        self.check_folders()
        held.leases(self.root / "tmp", PARTIAL)
        lease = held.Lease(self.root / "tmp")
        weakref.finalize(self, lease.end)
        layout = self.root / "oci-layout"
        if not layout.exists():
            atomic.write(layout, '{"imageLayoutVersion":"1.0.0"}')
        return lease

    def check_folders(self) -> None:
        """Symlinked if a folder of the store is a symlink: what is written or removed there would be elsewhere."""
        for folder in (self.root, *(self.root / name for name in ("blobs", "actions", "sums"))):
            for link in atomic.symlinks(folder):
                raise atomic.SymlinkOnPath(link)

    @contextlib.contextmanager
    def _present(self, digest: Digest) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise Missing(digest) from None

    @contextlib.contextmanager
    def space(self) -> Iterator[None]:
        """What the system says when the store cannot be written becomes a StoreError that a person can act on."""
        try:
            yield
        except OSError as error:
            raise explained(error, self.root) from None

    # blobs

    def path(self, digest: Digest) -> Path:
        return self.root / "blobs" / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int:
        return self.stat(digest).st_size

    def stat(self, digest: Digest) -> os.stat_result:
        with self._present(digest):
            return os.stat(self.path(digest))

    def put(self, data: bytes) -> Digest:
        """Store `data` (if it is not there yet) and return its digest."""
        digest = Digest.of(data)
        if not self._holds(digest, data):
            with self.create() as blob:
                blob.write(data)
                blob.commit()
        return digest

    def _holds(self, digest: Digest, data: bytes) -> bool:
        """Returns whether the blob is there, and holds `data`; its time stamp then says that it was needed now."""
        try:
            with open(self.path(digest), "rb") as file:
                same = file.read() == data
                if same:
                    _touch(file.fileno())
                    self.vouched.note(digest, stamp(os.fstat(file.fileno())))
        except OSError:
            return False
        if not same:
            self.damaged(digest)
        return same

    @contextlib.contextmanager
    def create(self) -> Iterator[Writer]:
        """A new blob, written piece by piece; it is dropped unless the body calls `commit`."""
        writer = Writer(self)
        try:
            yield writer
        finally:
            writer.close()

    def adopt(self, path: Path, digest: Digest) -> None:
        """Take the file `path` (named by `scratch`, whole, already verified) as the blob `digest`."""
        with self.space():
            os.chmod(path, os.stat(path).st_mode & 0o444)  # who may read it, the umask decided
            settle_mtime(path)
            place = self.path(digest)
            try:
                os.replace(path, place)
            except FileNotFoundError:
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, place)
        self.vouched.note(digest, stamp(self.stat(digest)))

    def open(self, digest: Digest) -> BinaryIO:
        """The file of a blob, which is right as it stands: Damaged if it is not."""
        with self._present(digest):
            return self.vouched.open(digest)[0]

    @contextlib.contextmanager
    def held(self, digest: Digest) -> Iterator[BinaryIO]:
        """The same for something that takes longer: Damaged at the end, too, if the file is not right any more."""
        with self._present(digest):
            file, before = self.vouched.open(digest)
        with file:
            yield file
            if stamp(os.fstat(file.fileno())) != before:
                self.right(digest)

    def right(self, digest: Digest) -> Path:
        """Where the blob is, for others to open; Damaged if it is not what its name says."""
        self.open(digest).close()
        return self.path(digest)

    def get(self, digest: Digest) -> bytes:
        """A small blob, whole and verified."""
        with self._present(digest):
            data = self.path(digest).read_bytes()
        if hashlib.new(digest.algorithm, data).hexdigest() != digest.hex:
            raise self.damaged(digest)
        return data

    def verify(self, digest: Digest) -> None:
        """Read the blob `digest` and compare it with its name; Damaged if it is something else."""
        with self._present(digest), open(self.path(digest), "rb") as file:
            if hashlib.file_digest(file, digest.algorithm).hexdigest() != digest.hex:
                raise self.damaged(digest)

    def damaged(self, digest: Digest) -> Damaged:
        """Remove a blob that is not what its name says, and what was made of it; the error to raise."""
        from pipeline.store import derived

        try:
            derived.drop(self, [digest])
        except StoreError as error:
            raise StoreError(f"{self.path(digest)} is damaged and cannot be removed: {error}") from None
        self._trees.pop(digest, None)
        self.vouched.clear()
        self.reading.close()
        return Damaged(digest)

    def scratch(self) -> Path:
        """A new name for a file that is on the same file system as the blobs."""
        return self._leased().name()

    # contents

    def read(self, content: Content) -> Iterator[bytes]:
        """The bytes of `content` in chunks of at most CHUNK. Missing, or Damaged if a blob ends early."""
        return self.reading.read(content)

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
        """Write `content` to the host file `path` (beside it, then renamed), holes kept; its sha256 is returned.

        Damaged if a blob that goes into it is not right.
        """
        from pipeline.store import export

        return export.export(self, content, path)

    # trees

    def put_tree(self, tree: Tree) -> Digest:
        digest = self.put(columns.dump(tree))
        self._keep(digest, Tree(tree))
        return digest

    def tree(self, digest: Digest) -> Tree:
        """The tree that `digest` names. Shared: callers must not change it."""
        if (found := self._trees.get(digest)) is None:
            found = columns.load(self.get(digest))
        self._keep(digest, found)
        return found

    def _keep(self, digest: Digest, tree: Tree) -> None:
        """Keep `tree`, and of the others those that were used last."""
        with self._guard:
            self._trees.pop(digest, None)
            while self._trees and sum(map(len, self._trees.values())) + len(tree) > ENTRIES_IN_MEMORY:
                del self._trees[next(iter(self._trees))]
            self._trees[digest] = tree

    # finished actions

    def recall(self, key: str) -> Digest | None:
        """What the action `key` gave, if it has been done and its result is still here."""
        record = self.record(key)
        try:
            if record is None or os.stat(self.path(record.result)).st_size != record.size:
                return None
        except OSError:
            return None
        with contextlib.suppress(StoreError):  # a store that only others may write serves all the same
            self._leased()
        _touch(records.place(self.root, key))
        return record.result

    def record(self, key: str) -> Record | None:
        """What is remembered of the action `key`, wherever its result is now."""
        try:
            return records.load(key, records.place(self.root, key).read_bytes())
        except OSError:
            return None

    def remember(self, key: str, result: Digest, facts: Mapping[str, Any] | None = None) -> None:
        """Note that the action `key` gave `result`, which is in the store. `facts`: JSON values."""
        record = Record(result, self.size(result), dict(facts or {}))
        self.note(records.place(self.root, key), record.dump(key))

    def forget(self, key: str) -> None:
        """Drop what is remembered of the action `key`."""
        with self.space():
            records.place(self.root, key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against every other thread and process that uses this store."""
        self._leased()
        path = self.root / "locks" / name
        with self.space():
            file = held.take(path)
        assert file is not None
        try:
            yield
        finally:
            held.drop(path, file)


def _touch(file: Path | int) -> None:
    """Has a file's time stamp say that it was needed now, where it is ours: others see to their own."""
    with contextlib.suppress(OSError):
        os.utime(file)
