"""onshutdown: containers that run one after another while the node shuts down."""

from __future__ import annotations

from typing import Any

from pipeline.language import bundles
from pipeline.language.container import Checked, Container
from pipeline.parts import Context, Part

ORDER = 50
Value = tuple[Container, ...]


def parts(value: tuple[Container, ...], context: Context, below: tuple[Part, ...]) -> list[Part]:
    return bundles.parts("onshutdown", value, context)


def problems(value: tuple[Container, ...], spec: Any) -> Checked:
    return bundles.problems(value, spec)
