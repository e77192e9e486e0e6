"""onshutdown: containers that run one after another while the node shuts down."""

from __future__ import annotations

from functools import partial

from pipeline.container.container import Container
from pipeline.sections import Section
from pipeline.spec import bundles

components = partial(bundles.components, "onshutdown")
SECTION = Section(50, tuple[Container, ...], components, bundles.images, bundles.problems)
