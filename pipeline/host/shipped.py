"""Files that come with nodekiln beside its code: recipes, examples, the JSON Schema, a project to begin with.

The wheel has them in `pipeline/share`; in a checkout, where an editable install leaves them, they lie beside
`pipeline`. Their paths below SHIPPED are the same in both (pyproject.toml maps them).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_SHARE = _PACKAGE / "share"
SHIPPED = _SHARE if _SHARE.is_dir() else _PACKAGE.parent
"""The folder with `images/`, `examples/`, `template/` and `specs/schema.json` of nodekiln."""
