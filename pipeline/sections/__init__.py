"""Sections: one module per top-level key of a spec. `ls` of this folder is the grammar; nothing else lists it.

A section module has

    ORDER              its place in the root file system (higher is laid over lower); sections of one order go by name
    Value              the type of what stands under the key: a `@mapping` class, or tuple[X, ...] for a list of X
    parts(value, context, below) -> list[Component]     what it puts into the root file system, over the parts `below`

and may have

    problems(value, spec)      what only the whole spec can tell to be wrong: yields (path below the key, message, hint)
    warnings(value, spec)      the same for what is hardly meant
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from pipeline.spec.components import Component, Context


@functools.cache
def modules() -> Mapping[str, ModuleType]:
    """Key -> module, in the order of the root file system."""
    names = (path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    found = {name: import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(found.items(), key=lambda item: (item[1].ORDER, item[0])))


def plan(context: Context) -> list[Component]:
    """The parts of the whole spec, in the order in which they are laid over each other."""
    parts: list[Component] = []
    for name, module in modules().items():
        parts += module.parts(context.spec[name], context, tuple(parts))
    return parts
