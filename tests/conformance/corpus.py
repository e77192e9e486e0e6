"""LinuxKit's own results for a number of specs, which lie beside the project or where NODEKILN_CONFORMANCE says.

images/            an OCI layout with every image that the cases name
cases/NAME/        spec.yml and its files; tree.jsonl and bundles.json, or error.txt where it is refused
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("NODEKILN_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance")
IMAGES = FOLDER / "images"


def cases(pattern: str) -> list[Path]:
    """Returns the folders of the cases that have a file `pattern`, sorted."""
    return sorted(path.parent for path in FOLDER.glob(f"cases/*/{pattern}"))


def each(folders: list[Path]) -> Any:
    """Returns the decorator that gives a test each case as `case`; without cases it is skipped, and in CI it fails."""
    marks = [] if os.environ.get("CI") else [pytest.mark.skip(f"{FOLDER} has no cases")]
    rows = [pytest.param(folder, id=folder.name) for folder in folders] or [pytest.param(FOLDER, marks=marks)]
    return pytest.mark.parametrize("case", rows)
