"""Settings: the table [tool.nodekiln] of the pyproject.toml in a project's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def project_settings(folder: Path) -> Mapping[str, Any]:
    """Returns the settings of the project in `folder`; {} without a pyproject.toml."""
    settings: Mapping[str, Any] = _document(folder).get("tool", {}).get("nodekiln", {})
    return settings


def project_name(folder: Path) -> str:
    """Returns the name of the Python distribution whose source is in `folder`; "" if there is none."""
    return str(_document(folder).get("project", {}).get("name", ""))


def _document(folder: Path) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads((folder / "pyproject.toml").read_text())
    except FileNotFoundError:
        return {}
