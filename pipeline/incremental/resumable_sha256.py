"""Computes SHA-256 digests, resumed behind the prefix that a content shares with an earlier one.

hashlib does not show its state. OpenSSL's libcrypto, which it calls, has it in a structure of its public interface
(openssl/sha.h, SHA256_CTX: eight words of state, two of count, the block being filled, how full it is, the digest's
length). Where no such library is found, everything is hashed from the start.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pipeline.incremental.chunks import Chunk, chunks, name_of
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, grouped
from pipeline.store import Store
from pipeline.store.interfaces import ReadRange
from pipeline.store.reading import is_hole, zeros

LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1")
STATE = 112
"""Size of a SHA256_CTX, in bytes."""
SEGMENT = 4 << 20
"""Smallest distance between two states that are kept, in bytes: some milliseconds of hashing."""


def sha256(store: Store, content: Content) -> Digest:
    """Returns the SHA-256 of `content`, which is read unless the digest is known."""
    parts = chunks(content)
    if (digest := known_digest(store, parts)) is None:
        digest = Digest.of_chunks(store.read(content))
        note_digest(store, parts, digest)
    return digest


def known_digest(store: Store, chunks: list[Chunk]) -> Digest | None:
    """Returns the memoised SHA-256 of a content; None if there is none."""
    digest = store.memo.get(f"sha256 {name_of(chunks)}")
    return None if digest is None else Digest.parse(digest)


def note_digest(store: Store, chunks: list[Chunk], digest: Digest) -> None:
    """Memoises the SHA-256 of a content."""
    store.memo.put(f"sha256 {name_of(chunks)}", digest)


class Sha256:
    """A hash as hashlib's, which can be made from the `state` of another. Needs libcrypto."""

    def __init__(self, state: bytes = b"") -> None:
        import ctypes

        self._library = _library()
        self._context = ctypes.create_string_buffer(state, STATE)
        if not state:
            self._library.SHA256_Init(self._context)

    def update(self, data: bytes) -> None:
        self._library.SHA256_Update(self._context, data, len(data))

    @property
    def state(self) -> bytes:
        return bytes(self._context)

    def hexdigest(self) -> str:
        import ctypes

        context, digest = ctypes.create_string_buffer(self.state, STATE), ctypes.create_string_buffer(32)
        self._library.SHA256_Final(digest, context)
        return bytes(digest).hex()


class ResumableSha256:
    """The hash of a content in chunks, resumed behind the longest prefix whose state is memoised under `name`.

    Under `name` the memo has the states of the last content that was hashed so.
    """

    start: int
    """Offset at which hashing starts."""
    chunk: int
    """Number of the chunk that starts there."""

    def __init__(self, store: Store, chunks: list[Chunk], name: str) -> None:
        self._store, self._name = store, f"states {sys.byteorder} {name}"  # machines of both kinds may share a store
        self._states = self._recall()
        self._segments = list(_segments(chunks))
        known = (number for number, (prefix, _) in enumerate(self._segments, 1) if prefix in self._states)
        self._first = max(known, default=0)
        if self._first and _library() is None:  # which takes 5 ms to find
            self._first = 0
        before = [chunk for _, some in self._segments[: self._first] for chunk in some]
        self.chunk, self.start = len(before), sum(chunk.size for chunk in before)
        self._size = sum(chunk.size for chunk in chunks)

    def hash(self, read: ReadRange) -> Digest:
        """Returns the digest. `read` yields bytes from `start` on, in order; it is not asked for holes."""
        if _library() is None:
            return Digest.of_chunks(read(0, self._size))
        states = {prefix: self._states[prefix] for prefix, _ in self._segments[: self._first] if prefix in self._states}
        digest = Sha256(states[self._segments[self._first - 1][0]] if self._first else b"")
        offset = self.start
        for prefix, some in self._segments[self._first :]:
            for hole, run in groupby((piece for chunk in some for piece in chunk.content), is_hole):
                count = sum(piece.length for piece in run)
                for data in zeros(count) if hole else read(offset, count):
                    digest.update(data)
                offset += count
            states[prefix] = digest.state
        self._store.memo.put(self._name, json.dumps({prefix: state.hex() for prefix, state in states.items()}))
        return Digest("sha256:" + digest.hexdigest())

    def _recall(self) -> dict[str, bytes]:
        """Returns the memoised states, by the name of the prefix that was hashed."""
        memo = json.loads(self._store.memo.get(self._name) or "{}")
        return {prefix: bytes.fromhex(state) for prefix, state in memo.items()}


def _segments(chunks: list[Chunk]) -> Iterator[tuple[str, list[Chunk]]]:
    """Yields `chunks` in segments of SEGMENT bytes or more, each with a name for the content up to its end."""
    prefix = hashlib.sha256()
    for segment in grouped(chunks, lambda chunk: chunk.size, SEGMENT):
        prefix.update("".join(chunk.name for chunk in segment).encode())
        yield prefix.hexdigest(), segment


@functools.cache
def _library() -> Any:
    """Returns libcrypto with its functions' types set; None if there is none that has them."""
    import ctypes

    for name in LIBRARIES:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(name)
            library.SHA256_Init.argtypes = [ctypes.c_void_p]
            library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
            library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            return library
    return None
