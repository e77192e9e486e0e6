"""onboot: containers that run one after another while the node boots, each to its end."""

from __future__ import annotations

from pipeline.container.container import Container, Violations
from pipeline.spec import bundles
from pipeline.spec.components import Component, Context
from pipeline.spec.spec import Spec

ORDER = 40
Value = tuple[Container, ...]


def parts(value: tuple[Container, ...], context: Context, below: tuple[Component, ...]) -> list[Component]:
    return bundles.parts("onboot", value, context)


def problems(value: tuple[Container, ...], spec: Spec) -> Violations:
    return bundles.problems(value, spec)
