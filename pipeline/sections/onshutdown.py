"""onshutdown: containers that run one after another while the node shuts down."""

from __future__ import annotations

from pipeline.container.container import Container, Violations
from pipeline.spec import bundles
from pipeline.spec.components import Component, Context
from pipeline.spec.spec import Spec

ORDER = 50
Value = tuple[Container, ...]


def parts(value: tuple[Container, ...], context: Context, below: tuple[Component, ...]) -> list[Component]:
    return bundles.parts("onshutdown", value, context)


def problems(value: tuple[Container, ...], spec: Spec) -> Violations:
    return bundles.problems(value, spec)
