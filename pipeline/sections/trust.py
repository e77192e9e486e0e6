"""trust: LinuxKit's Docker Content Trust. Accepted, and without effect: that service is gone."""

from __future__ import annotations

from pipeline.container.container import Violations
from pipeline.language.schema import mapping
from pipeline.spec.components import Component, Context
from pipeline.spec.spec import Spec

ORDER = 90


@mapping
class Trust:
    """Which images were to be verified by Docker Content Trust. Has no effect; a warning says so."""

    image: tuple[str, ...] | None = None
    """Images."""
    org: tuple[str, ...] | None = None
    """Organisations."""


Value = Trust


def warnings(value: Trust, spec: Spec) -> Violations:
    if value.image or value.org:
        yield (), "trust has no effect", "Docker Content Trust is gone; pin images by digest, or by the lock"


def parts(value: Trust, context: Context, below: tuple[Component, ...]) -> list[Component]:
    return []
