"""All attacks, by name."""

from __future__ import annotations

from tests.attacks import documents, entries, headers, names, packing, places
from tests.attacks.attack import CORPUS, Attack

FILES = (documents, entries, headers, names, packing, places)
__all__ = ["CORPUS", "FILES", "Attack"]
