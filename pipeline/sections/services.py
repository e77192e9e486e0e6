"""services: containers that run as long as the node does."""

from __future__ import annotations

import re
from functools import partial

from pipeline.container.container import Container
from pipeline.container.names import IDENTIFIER
from pipeline.language.problem import Violations
from pipeline.sections import Section
from pipeline.spec import bundles
from pipeline.spec.spec import Spec


def problems(value: tuple[Container, ...], spec: Spec) -> Violations:
    """Yields a problem for each repeated name, and each that containerd refuses. Services run at the same time."""
    first: dict[str, int] = {}
    for index, container in enumerate(value):
        if first.setdefault(container.name, index) != index:
            earlier = spec.where(("services", first[container.name], "name"))
            yield (index, "name"), f"duplicate service name: {container.name!r}", f"also at {earlier}"
        if not re.fullmatch(IDENTIFIER, container.name):
            hint = "at most 76 letters and digits, with single '.', '_' or '-' between"
            yield (index, "name"), f"{container.name!r} is not a containerd identifier", hint
    yield from bundles.problems(value, spec)


SECTION = Section(60, tuple[Container, ...], partial(bundles.components, "services"), bundles.images, problems)
