"""Record: what the store remembers of an action that was done."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pipeline.digest import Digest, canonical_json


class Record(NamedTuple):
    """result: what the action gave. size: bytes of that blob.

    facts: for people and for planning, never for deciding: `name`, `stage`, `version`, `params`, `inputs` (name -> key)
    and `seconds` (that the stage took).
    """

    result: Digest
    size: int
    facts: dict[str, Any]

    def dump(self) -> bytes:
        return canonical_json(self._asdict())


def load(unsafe_data: bytes) -> Record | None:
    """The record that `dump` wrote; None for anything else: a record that cannot be read is as good as none."""
    try:
        document = json.loads(unsafe_data)
        result, size, facts = Digest.parse(document["result"]), document["size"], document["facts"]
    except (ValueError, KeyError, TypeError):
        return None
    return Record(result, size, facts) if isinstance(size, int) and isinstance(facts, dict) else None
