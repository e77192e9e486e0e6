"""onboot: containers that run one after another while the node boots, each to its end."""

from __future__ import annotations

from functools import partial

from pipeline.container.container import Container
from pipeline.sections import Section
from pipeline.spec import bundles

components = partial(bundles.components, "onboot")
SECTION = Section(40, tuple[Container, ...], components, bundles.images, bundles.problems)
