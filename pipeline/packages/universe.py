"""The packages of several indexes as one universe: records found by a scan of the bytes, newest version first."""

from __future__ import annotations

from typing import NamedTuple


class Index(NamedTuple):
    """A verified, uncompressed Packages file (repository format, "Packages" indices)."""

    archive: str
    """Name of the archive (`debian`), or its base URL."""
    suite: str
    """Codename of the suite (`bookworm-security`)."""
    component: str
    date: str
    """Date of the Release file, ISO 8601."""
    priority: int
    """apt_preferences(5): 500; 100 for NotAutomatic with ButAutomaticUpgrades; 1 for NotAutomatic."""
    data: bytes
