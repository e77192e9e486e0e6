"""Settings: the table [tool.nodekiln] of the pyproject.toml in a project's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def project_settings(folder: Path) -> Mapping[str, Any]:
    """Returns the settings of the project in `folder`; {} without a pyproject.toml."""
    import tomllib

    try:
        tools = tomllib.loads((folder / "pyproject.toml").read_text()).get("tool", {})
    except FileNotFoundError:
        return {}
    settings: Mapping[str, Any] = tools.get("nodekiln", {})
    return settings
