"""Libraries among the packages that a resolver chose: those that a chain of libraries leads to from the named ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

LIBS = "libs"
"""The value of a recipe's `dependencies` for shared libraries alone."""
SECTION = re.compile(r"(?:.+/)?libs")
"""Debian's section of shared libraries (Policy 2.4), in any component."""
NAME = re.compile(r"lib.*[0-9](t64)?")
"""Names of packages of shared libraries (Policy 8.1), some of which are in other sections: Ubuntu's libkeyutils1."""

_NAMES = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]+)")
"""Names in a relation field (Policy 7.1)."""


def with_libraries(names: Collection[str], records: Iterable[Mapping[str, str]]) -> set[str]:
    """Returns `names`, and the packages in SECTION or with a NAME that they or such libraries depend on.

    records: fields (deb-control(5)), by lower-case name, of all packages that were chosen, dependencies included. An
    alternative that was not chosen has no record.
    """
    by_name = {record["package"]: record for record in records}
    providers: dict[str, set[str]] = {}
    for name, record in by_name.items():
        for virtual in [name, *_NAMES.findall(record.get("provides", ""))]:
            providers.setdefault(virtual, set()).add(name)
    reached, todo = set(names), [*names]
    while todo:
        record = by_name.get(todo.pop(), {})
        for dependency in _NAMES.findall(f"{record.get('pre-depends', '')},{record.get('depends', '')}"):
            for name in providers.get(dependency, set()) - reached:
                if NAME.fullmatch(name) or SECTION.fullmatch(by_name[name].get("section", "")):
                    reached.add(name)
                    todo.append(name)
    return reached
