"""Generator of docs/reference/versions.md: every VERSION, and the release that it came with.

Rows that were raised or are new get the present release, all others stay. `python -m tests.manual` writes the page.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pipeline
from pipeline.model import columns

TABLE = Path(__file__).parents[1] / "docs/reference/versions.md"
FOLDERS = ("formats", "stages", "recipe", "packages", "writers")
NEW = "new in "
HEAD = """\
# VERSIONs

A VERSION is part of the keys of all that its module makes, and is raised with every change of its bytes: golden tests
fail otherwise. `python -m tests.manual` writes this table.

| module | VERSION | since |
|---|---|---|
"""


def present() -> dict[str, str]:
    """`formats.tar` -> its VERSION now."""
    found = {"model.columns": str(columns.VERSION)}
    for folder in FOLDERS:
        package = importlib.import_module(f"pipeline.{folder}")
        for each in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{each.name}")
            if hasattr(module, "VERSION"):
                found[f"{folder}.{each.name}"] = str(module.VERSION)
    return found


def listed(text: str) -> dict[str, tuple[str, str]]:
    """Module -> (VERSION, since), as the table in `text` has them."""
    rows = re.findall(r"^\| (\w+\.\w+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    return {module: (version, since) for module, version, since in rows}


def updated(text: str) -> str:
    """Returns the document as it must be now; `text` is the present one."""
    known = listed(text)
    rows = []
    for module, version in present().items():
        before, since = known.get(module, (version, NEW + pipeline.__version__))
        rows.append(f"| {module} | {version} | {since if before == version else pipeline.__version__} |\n")
    return HEAD + "".join(rows)
