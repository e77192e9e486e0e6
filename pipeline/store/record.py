"""Records of finished actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, checksummed_json
from pipeline.model.digest import Digest


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
    return root / "actions" / key[:2] / key


def every(root: Path) -> Iterator[tuple[Path, Record | None]]:
    """Yields every record of the store `root` with its path, in order; None for one that cannot be read."""
    for path in atomic.files_in_subfolders(root / "actions"):
        try:
            yield path, load(path.name, path.read_bytes())
        except FileNotFoundError:  # dropped meanwhile
            continue
