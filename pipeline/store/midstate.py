"""Midstate: the sha256 of a content that begins as an earlier one did, without reading the beginning again.

hashlib keeps its state to itself. OpenSSL's libcrypto, which it calls, has it in a structure of its public interface
(openssl/sha.h, SHA256_CTX: eight words of state, two of count, the block being filled, how full it is, the digest's
length). Where no such library is found, everything is hashed from the start.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pipeline.model.digest import Digest
from pipeline.store import facts
from pipeline.store.chunks import Chunk
from pipeline.store.reading import is_hole, zeros

if TYPE_CHECKING:
    from pipeline.store import Store

LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1")
STATE = 112
"""Bytes of a SHA256_CTX."""
APART = 4 << 20
"""Bytes between two states that are kept, at least: hashing them takes some milliseconds."""


class Sha256:
    """As hashlib's; made from a `state`, it goes on from there."""

    def __init__(self, state: bytes = b"") -> None:
        self._library = _library()
        if self._library is None:
            self._plain = hashlib.sha256()
            return
        import ctypes

        self._context = ctypes.create_string_buffer(state, STATE)
        if not state:
            self._library.SHA256_Init(self._context)

    def update(self, data: bytes) -> None:
        if self._library is None:
            self._plain.update(data)
        else:
            self._library.SHA256_Update(self._context, data, len(data))

    @property
    def state(self) -> bytes:
        """What to go on from; empty where that cannot be done."""
        return b"" if self._library is None else bytes(self._context)

    def hexdigest(self) -> str:
        if self._library is None:
            return self._plain.hexdigest()
        import ctypes

        context, digest = ctypes.create_string_buffer(self.state, STATE), ctypes.create_string_buffer(32)
        self._library.SHA256_Final(digest, context)
        return bytes(digest).hex()


Read = Callable[[int, int], Iterable[bytes]]
"""The bytes of a content from a place on: (place, count) -> chunks."""


class Sum:
    """The sha256 of a content, which is `parts`, as it is going to be found. Under `name` the store knows the states of
    the last content that was hashed so; they are those of this one from then on.

    place: what comes before this byte need not be read; that are so many chunks (`done`).
    """

    def __init__(self, store: Store, parts: list[Chunk], name: str) -> None:
        self._store, self._name, self._known = store, name, _recall(store, name)
        self._stretches = list(_stretches(parts))
        known = (number for number, (name, _) in enumerate(self._stretches, 1) if name in self._known)
        self._first = max(known, default=0)
        if self._first and _library() is None:  # which takes 5 ms to find, so it is looked for when it is of use
            self._first = 0
        before = [chunk for _, some in self._stretches[: self._first] for chunk in some]
        self.done, self.place = len(before), sum(chunk.size for chunk in before)

    def digest(self, read: Read) -> Digest:
        """The sha256, of what `read` gives from `place` on, in order; holes it is not asked for."""
        kept = {name: state for name, _ in self._stretches[: self._first] if (state := self._known.get(name))}
        found = Sha256(kept[self._stretches[self._first - 1][0]] if self._first else b"")
        place = self.place
        for name, some in self._stretches[self._first :]:
            for hole, run in groupby((piece for chunk in some for piece in chunk.pieces), is_hole):
                count = sum(piece.length for piece in run)
                for data in zeros(count) if hole else read(place, count):
                    found.update(data)
                place += count
            if found.state:
                kept[name] = found.state
        if kept:
            facts.know(self._store, _fact(self._name), json.dumps({name: state.hex() for name, state in kept.items()}))
        return Digest("sha256:" + found.hexdigest())


def _stretches(parts: list[Chunk]) -> Iterator[tuple[str, list[Chunk]]]:
    """`parts` in rows of APART bytes or more, each with a name for all of the content up to its end."""
    so_far, some, size = hashlib.sha256(), list[Chunk](), 0
    for number, chunk in enumerate(parts, 1):
        so_far.update(chunk.name.encode())
        some.append(chunk)
        size += chunk.size
        if size >= APART or number == len(parts):
            yield so_far.hexdigest(), some
            some, size = [], 0


def _recall(store: Store, name: str) -> dict[str, bytes]:
    """The states by the names of what was hashed then."""
    fact = facts.known(store, _fact(name))
    return {} if fact is None else {name: bytes.fromhex(state) for name, state in json.loads(fact).items()}


def _fact(name: str) -> str:
    """A state is numbers of the machine, which may share its store with another kind."""
    return f"states {sys.byteorder} {name}"


@functools.cache
def _library() -> Any:
    """libcrypto, if one is found that has what is needed."""
    import ctypes

    for name in LIBRARIES:
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(name)
            library.SHA256_Init.argtypes = [ctypes.c_void_p]
            library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
            library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            return library
    return None
