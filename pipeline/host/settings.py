"""Settings: the table [tool.nodekiln] of the pyproject.toml in a project's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def project_settings(folder: Path) -> Mapping[str, Any]:
    """The settings of the project in `folder`; none where there is no pyproject.toml."""
    import tomllib

    try:
        found: Mapping[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text()).get("tool", {})
    except FileNotFoundError:
        return {}
    settings: Mapping[str, Any] = found.get("nodekiln", {})
    return settings
