"""Relations between packages: `Depends: a (>= 1) | b:any, c` (Debian Policy, 7.1; deb-control(5))."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from pipeline.packages.version import Key, sort_key

_RELATION = re.compile(
    r"\s*(?P<name>[^\s()<>=|,:\[\]]+)(?::(?P<qualifier>[^\s()|,]+))?\s*"
    r"(?:\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^)]+?)\s*\))?\s*"
)
_OPERATORS: dict[str, Callable[[Key, Key], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
    "<": operator.le,  # the obsolete forms mean the inclusive ones (deb-control(5))
    ">": operator.ge,
}


class Relation(NamedTuple):
    """A package that another one names, with the versions that are meant."""

    name: str
    qualifier: str = ""
    """Architecture after the colon: `any`, `native`, a name; "" for the own one."""
    operator: str = ""
    version: str = ""

    def matches(self, version: str) -> bool:
        """Returns whether a package of this version is meant; one without a version only if every version is."""
        if not self.operator:
            return True
        return bool(version) and _OPERATORS[self.operator](sort_key(version), sort_key(self.version))

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.operator} {self.version})" if self.operator else name


Alternatives = tuple[Relation, ...]


def parse(field: str) -> list[Alternatives]:
    """Returns the clauses of a field, each with its alternatives. ValueError for a malformed field."""
    return [tuple(map(_relation, clause.split("|"))) for clause in field.split(",") if clause.strip()]


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if not match:
        raise ValueError(f"not a relation to a package: {text.strip()!r}")
    name, qualifier, comparison, version = match.group("name", "qualifier", "operator", "version")
    return Relation(name, qualifier or "", comparison or "", version or "")
