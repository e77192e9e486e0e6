"""A memo in the store's folder: sums/ab/<hex>, a file for each value.

A file is sealed with a hash of name and value: a damaged one is as good as none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.store import MEMO
from pipeline.store.interfaces import Memo

VERSION = 2
"""Part of the seal. Values of version 1 came of bytes that were not always verified."""


class FileMemo(Memo):
    """A memo of files."""

    def get(self, name: str) -> str | None:
        try:
            with open(self.path(name), "rb") as file:
                seal, end, value = file.read().partition(b"\n")
        except OSError:
            return None
        return value.decode() if end and seal == _seal(name, value) else None

    def put(self, name: str, value: str) -> None:
        data = value.encode()
        self._store.note(self.path(name), _seal(name, data) + b"\n" + data)

    def path(self, name: str) -> Path:
        """Returns the file of the value under `name`."""
        key = _hash(name.encode("utf-8", "surrogateescape"))
        return self._store.root / MEMO / key[:2] / key


def _seal(name: str, value: bytes) -> bytes:
    return _hash(b"%d\0%b\0%b" % (VERSION, name.encode("utf-8", "surrogateescape"), value)).encode()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
