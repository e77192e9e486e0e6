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
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.digest import Digest
from pipeline.store import facts
from pipeline.tree import Content

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


def digest(store: Store, content: Content, name: str) -> Digest:
    """The sha256 of `content`. Under `name` the store knows the states of the last content that was hashed so; they are
    those of this one from then on."""
    known, kept = _recall(store, name), {}
    stretches = list(_stretches(content))
    done = max((number for number, (start, _) in enumerate(stretches, 1) if start in known), default=0)
    found = Sha256(known[stretches[done - 1][0]] if done else b"")
    for number, (start, pieces) in enumerate(stretches):
        if number >= done:
            for data in store.read(pieces):
                found.update(data)
        if state := found.state if number >= done else known.get(start):
            kept[start] = state.hex()
    if kept:
        facts.know(store, _fact(name), json.dumps(kept))
    return Digest("sha256:" + found.hexdigest())


def _stretches(content: Content) -> Iterator[tuple[str, Content]]:
    """`content` in pieces of APART bytes or more, each with a name for all of the content up to its end."""
    so_far, start, size = hashlib.sha256(), 0, 0
    for end, (blob, offset, count) in enumerate(content, 1):
        so_far.update(b"%s %d %d\n" % ((blob or "").encode(), offset, count))
        size += count
        if size >= APART:
            yield so_far.hexdigest(), content[start:end]
            start, size = end, 0
    if start < len(content):
        yield so_far.hexdigest(), content[start:]


def _recall(store: Store, name: str) -> dict[str, bytes]:
    """The states by the names of what was hashed then."""
    fact = facts.known(store, _fact(name)) if _library() is not None else None
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
