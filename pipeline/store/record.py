"""Records of finished actions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, checksummed_json
from pipeline.host.stamp import Stamp, stamp
from pipeline.model.digest import Digest

IN_MEMORY = 4096
"""Maximum number of records that are kept parsed: the specs of a fleet have most of theirs in common."""


class Record(NamedTuple):
    """result: digest of the action's result. size: of that blob, in bytes.

    blobs: all that the result needs, itself included (digest -> size in bytes), where the store may lack some of it
    (pipeline.store.beyond); else {}, as the result itself names them.
    facts: for people and for planning, not part of any key: `name`, `stage`, `version`, `params`, `inputs` (name ->
    key) and `seconds` (that the stage took).
    """

    result: Digest
    size: int
    facts: dict[str, Any]
    blobs: Mapping[Digest, int] = {}

    def dump(self, key: str) -> bytes:
        """Returns the sealed bytes of the record of the action `key`."""
        document = self._asdict()
        if not self.blobs:
            del document["blobs"]
        return checksummed_json.dump(key, document)

    @property
    def inputs(self) -> list[str]:
        """Keys of the actions whose results were the inputs."""
        return list(self.facts.get("inputs", {}).values())


def load(key: str, unsafe_data: bytes) -> Record | None:
    """Returns the record that `dump` made for the action `key`; None if it is damaged."""
    document = checksummed_json.load(key, unsafe_data)
    if document is None:
        return None
    blobs = {Digest.parse(blob): size for blob, size in document.get("blobs", {}).items()}
    return Record(Digest.parse(document["result"]), document["size"], document["facts"], blobs)


def place(root: Path, key: str) -> Path:
    """Returns the file of the record of the action `key` in the store `root`."""
    return root.joinpath("actions", key[:2], key)


def every(root: Path) -> Iterator[tuple[Path, Record | None]]:
    """Yields every record of the store `root` with its path, in order; None for one that cannot be read."""
    for path in atomic.files_in_subfolders(root / "actions"):
        try:
            yield path, load(path.name, path.read_bytes())
        except FileNotFoundError:  # dropped meanwhile
            continue


class Records:
    """The records of the store `root`. One that was read is not read again while its file has the same stamp."""

    def __init__(self, root: Path) -> None:
        self._folder = str(root / "actions")
        self._known: dict[str, tuple[Stamp, Record]] = {}
        self._touched: set[str] = set()

    def get(self, key: str) -> Record | None:
        """Returns the record of the action `key`; None if there is none."""
        path = self._path(key)
        try:
            current = stamp(os.stat(path))
            if (known := self._known.get(key)) and known[0] == current:
                return known[1]
            with open(path, "rb") as file:
                record = load(key, file.read())
        except OSError:
            return None
        if record is not None:
            if len(self._known) >= IN_MEMORY:
                self._known.clear()
            self._known[key] = current, record
        return record

    def touch(self, key: str) -> None:
        """Sets the time stamp of the record of the action `key` to now, once in this process."""
        if key not in self._touched:
            self._touched.add(key)
            touch(self._path(key))

    def _path(self, key: str) -> str:
        """Returns the path that `place` returns, as text, which takes a fifth of the time."""
        return f"{self._folder}/{key[:2]}/{key}"


def touch(file: str | int) -> None:
    """Sets a file's time stamp to now, which `gc` takes for its last use; not that of another user's file."""
    with contextlib.suppress(OSError):
        os.utime(file)
