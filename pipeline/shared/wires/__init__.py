"""Wires of the shared cache: one module each, named after the scheme of its addresses; the directory is the list.

`pipeline.shared.wire` describes what a module has.
"""

from __future__ import annotations

from pathlib import Path


def names() -> tuple[str, ...]:
    """Returns the names of the modules of all wires, sorted."""
    stems = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(stem for stem in stems if stem != "__init__"))
