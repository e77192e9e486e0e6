"""Sections: one module per top-level key of a spec. `ls` of this folder is the grammar; nothing else lists it.

A module has the name of its key, and registers it with `SECTION = Section(...)`. Its docstring starts with
`KEY: summary.`
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.language.kinds import ListOf
from pipeline.language.problem import Violations
from pipeline.language.reader import Kind
from pipeline.language.schema import kind
from pipeline.spec.components import Component, Context, References
from pipeline.spec.spec import Spec

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False, repr=False)
class Section(Generic[Value]):
    """One top-level key of a spec."""

    order: int
    """Its place in the root file system: higher is laid over lower. Sections of one order go by name."""
    value: type[Value]
    """The type of what stands under the key: a `@mapping` class, or tuple[X, ...] for a list of X."""
    components: Callable[[Value, Context, tuple[Component, ...]], list[Component]] = lambda value, context, below: []
    """Plans what the section adds to the root file system, over the components `below`."""
    images: Callable[[Value], References] = lambda value: ()
    """Returns path below the key and reference of each image that the value names."""
    problems: Callable[[Value, Spec], Violations] = lambda value, spec: iter(())
    """Yields path below the key, message and hint of each error that only the whole spec shows."""
    warnings: Callable[[Value, Spec], Violations] = lambda value, spec: iter(())
    """Yields the same for each warning: what is allowed, but probably a mistake."""

    @property
    def kind(self) -> Kind:
        type_: Any = self.value
        return kind(type_)

    @property
    def empty(self) -> Any:
        """The value of a key that is left out."""
        return () if isinstance(self.kind, ListOf) else self.value()


@functools.cache
def sections() -> Mapping[str, Section[Any]]:
    """Key -> section, in the order of the root file system."""
    keys = (path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    found: dict[str, Section[Any]] = {key: import_module(f"{__name__}.{key}").SECTION for key in keys}
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def components(context: Context) -> list[Component]:
    """The components of the whole spec, in the order in which they are laid over each other."""
    planned: list[Component] = []
    for key, section in sections().items():
        planned += section.components(context.spec[key], context, tuple(planned))
    return planned
