"""Record: what the store remembers of an action that was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, checksummed_json
from pipeline.model.digest import Digest


class Record(NamedTuple):
    """result: what the action gave. size: bytes of that blob.

    facts: for people and for planning, never for deciding: `name`, `stage`, `version`, `params`, `inputs` (name -> key)
    and `seconds` (that the stage took).
    """

    result: Digest
    size: int
    facts: dict[str, Any]

    def dump(self, key: str) -> bytes:
        """Returns the bytes to keep for the action `key`."""
        return checksummed_json.dump(key, self._asdict())

    @property
    def inputs(self) -> list[str]:
        """Keys of the actions whose results this one was made of."""
        return list(self.facts.get("inputs", {}).values())


def load(key: str, unsafe_data: bytes) -> Record | None:
    """Returns the record that `dump` wrote for the action `key`; None for anything else: it is as good as none."""
    document = checksummed_json.load(key, unsafe_data)
    if document is None:
        return None
    return Record(Digest.parse(document["result"]), document["size"], document["facts"])


def place(root: Path, key: str) -> Path:
    """Returns where the store `root` keeps the record of the action `key`."""
    return root / "actions" / key[:2] / key


def every(root: Path) -> Iterator[tuple[Path, Record | None]]:
    """Yields every record of the store `root` with its path, in order; None for one that cannot be read."""
    for path in atomic.files_in_subfolders(root / "actions"):
        try:
            yield path, load(path.name, path.read_bytes())
        except FileNotFoundError:  # dropped meanwhile
            continue
