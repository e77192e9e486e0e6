"""trust: LinuxKit's Docker Content Trust. Accepted, and without effect: that service is gone."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.parts import Context, Part

ORDER = 90


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Which images were to be verified by Docker Content Trust. Has no effect; a warning says so."""

    image: tuple[str, ...] | None = None
    """Images."""
    org: tuple[str, ...] | None = None
    """Organisations."""


Value = Trust


def parts(value: Trust, context: Context, below: tuple[Part, ...]) -> list[Part]:
    return []
