"""trust: LinuxKit's Docker Content Trust. Accepted, and without effect: that service is gone."""

from __future__ import annotations

from pipeline.language.problem import Violations
from pipeline.language.schema import mapping
from pipeline.sections import Section
from pipeline.spec.spec import Spec


@mapping
class Trust:
    """Images that Docker Content Trust verified. Has no effect, and a warning."""

    image: tuple[str, ...] | None = None
    """Images."""
    org: tuple[str, ...] | None = None
    """Organisations."""


def warnings(value: Trust, spec: Spec) -> Violations:
    if value.image or value.org:
        yield (), "trust has no effect", "Docker Content Trust is gone; pin images by digest, or by the lock"


SECTION = Section(90, Trust, warnings=warnings)
