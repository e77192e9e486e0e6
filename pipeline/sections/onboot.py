"""onboot: containers that run one after another while the node boots, each to its end."""

from __future__ import annotations

from typing import Any

from pipeline.language import bundles
from pipeline.language.container import Checked, Container
from pipeline.parts import Context, Part

ORDER = 40
Value = tuple[Container, ...]


def parts(value: tuple[Container, ...], context: Context, below: tuple[Part, ...]) -> list[Part]:
    return bundles.parts("onboot", value, context)


def problems(value: tuple[Container, ...], spec: Any) -> Checked:
    return bundles.problems(value, spec)
