"""Versions: the CHANGELOG's table of every VERSION, and the release that it came with.

`python -m tests.versions` brings the table up to date: what was raised or is new gets the present release, all else
stays.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pipeline
from pipeline.model import columns

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
FOLDERS = ("formats", "stages", "recipe", "writers")
HEADING = "## VERSIONs"
NEW = "new in "
HEAD = "| module | VERSION | since |\n|---|---|---|\n"


def present() -> dict[str, str]:
    """`formats.tar` -> its VERSION now."""
    found = {"pipeline.model.columns": str(columns.VERSION)}
    for folder in FOLDERS:
        package = importlib.import_module(f"pipeline.{folder}")
        for each in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{each.name}")
            if hasattr(module, "VERSION"):
                found[f"{folder}.{each.name}"] = str(module.VERSION)
    return found


def listed(text: str) -> dict[str, tuple[str, str]]:
    """Module -> (VERSION, since), as the table in `text` has them."""
    rows = re.findall(r"^\| (\w+\.\w+) \| (.+) \| (.+) \|$", text.partition(HEADING)[2], re.MULTILINE)
    return {module: (version, since) for module, version, since in rows}


def updated(text: str) -> str:
    """`text` with the table as it has to be now."""
    known = listed(text)
    rows = []
    for module, version in present().items():
        before, since = known.get(module, (version, NEW + pipeline.__version__))
        rows.append(f"| {module} | {version} | {since if before == version else pipeline.__version__} |\n")
    intro = "What makes which bytes; part of the keys of what it makes (`python -m tests.versions` writes this).\n"
    section = f"{HEADING}\n\n{intro}\n{HEAD}{''.join(rows)}"
    written = re.compile(rf"^{HEADING}\n\n.*\n\n(?:\|.*\n)*", re.MULTILINE)
    return written.sub(lambda _: section, text) if written.search(text) else f"{text.rstrip()}\n\n{section}"


if __name__ == "__main__":
    CHANGELOG.write_text(updated(CHANGELOG.read_text()))
