"""All attacks, by name."""

from __future__ import annotations

from tests.attacks import documents, entries, headers, names, packing
from tests.attacks.attack import CORPUS, Attack

FILES = (documents, entries, headers, names, packing)
__all__ = ["CORPUS", "FILES", "Attack"]
