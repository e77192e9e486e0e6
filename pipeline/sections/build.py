"""build: nodekiln's own key: formats, architectures and options of the results. It adds nothing to the root."""

from __future__ import annotations

from pipeline.spec.build import Build
from pipeline.spec.components import Component, Context

ORDER = 99

Value = Build


def parts(value: Build, context: Context, below: tuple[Component, ...]) -> list[Component]:
    return []
