"""Kinds: what a value of a spec may be. Each kind reads nodes, says what is wanted, and gives its JSON Schema.

A reader goes on after a problem, so that one run finds them all. pipeline.schema turns annotations into kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline import document
from pipeline.document import MAX_NODES, Node, Scalar, Sequence
from pipeline.problem import KeyPath, Place, Problem, Problems, guess, spell

_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_BASE_60 = re.compile(r"[0-9]+(:[0-5]?[0-9])+")

Define = Callable[[type], dict[str, Any]]
"""Gives the JSON Schema that stands for a dataclass (a reference to its definition)."""


class Kind(Protocol):
    """What a value may be."""

    @property
    def wanted(self) -> str:
        """In words: "a text", "a whole number from 1 to 9"."""

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        """The value of `node`; Wrong, after noting why, if it is none of this kind."""

    def json(self, define: Define) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) that takes the same values."""


class Pattern:
    """A text must match `regex` as a whole; `wanted` says in words what is right.

    The expression is also used in JSON Schema, so it keeps to what Python and ECMA 262 share.
    """

    def __init__(self, regex: str, wanted: str) -> None:
        self.regex, self.wanted = regex, wanted
        self.matches = re.compile(regex).fullmatch


class Range:
    """A number must be from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high


class Wrong(Exception):
    """Raised while reading where a value is not usable; what is wrong has been noted."""


Pair = tuple[str, Node, Node]
"""A key's text, its node, and the value's."""


class Reader:
    """Reads nodes into values. Goes on after a problem, so that one run finds them all.

    problems: what is wrong so far. places: where each value stands, by its path.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: dict[KeyPath, Place] = {}
        self.visited = 0

    def read(self, kind: Kind, node: Node, path: KeyPath) -> Any:
        """The value of `node`, or Wrong after noting why."""
        self.visit(node)
        self.places[path] = node.place
        return kind.read(self, node, path)

    def visit(self, node: Node) -> None:
        """Count a node. The same one comes again and again where aliases lead to it."""
        self.visited += 1
        if self.visited > MAX_NODES:
            raise Problems([Problem(node.place, f"aliases make this more than {MAX_NODES} values", "write less")])

    def wrong(self, node: Node, path: KeyPath, message: str, hint: str = "") -> Wrong:
        where = f" under {spell(path)}" if path else ""
        self.problems.append(Problem(node.place, message + where, hint))
        return Wrong()

    def scalar(self, node: Node, path: KeyPath, wanted: str) -> Any:
        """What a scalar node stands for; a list or a mapping is wrong."""
        if not isinstance(node, Scalar):
            raise self.wrong(node, path, f"{wanted} is wanted, not {spoken(node)}")
        try:
            return document.value(node)
        except ValueError as error:
            raise self.wrong(node, path, str(error), "remove the tag") from None

    def pairs(self, node: Node, path: KeyPath) -> list[Pair]:
        """Key, the key's node, value. Merge keys are followed; what stands twice or is no text is noted."""
        if not isinstance(node, document.Mapping):
            raise self.wrong(node, path, f"a mapping is wanted, not {spoken(node)}")
        self.visit(node)
        own: dict[str, Pair] = {}
        merged: dict[str, Pair] = {}
        for name_node, item in node.pairs:
            if document.is_merge(name_node):
                for each in item.items if isinstance(item, Sequence) else [item]:
                    for pair in self.pairs(each, path):
                        merged.setdefault(pair[0], pair)
                continue
            name = self.key(name_node, path)
            if name in own:
                self.wrong(name_node, path, f"{name!r} stands twice", f"first in line {own[name][1].place.line}")
            elif name is not None:
                own[name] = (name, name_node, item)
        return list((merged | own).values())

    def key(self, node: Node, path: KeyPath) -> str | None:
        """The text of a key; None, after noting it, if it is none."""
        name = document.value(node) if isinstance(node, Scalar) and not node.tag else None
        if isinstance(name, str):
            return name
        hint = f'write "{node.text}"' if isinstance(node, Scalar) else ""
        self.wrong(node, path, f"a key must be a text, not {spoken(node)}", hint)
        return None


def spoken(node: Node) -> str:
    """What a reader would call the node."""
    if isinstance(node, Scalar):
        try:
            value = document.value(node)
        except ValueError:
            return "a tagged value"
        names = {bool: "the boolean", int: "the number", float: "the number", str: "the text"}
        return "nothing (null)" if value is None else f"{names[type(value)]} {node.text[:40]!r}".replace("'", "")
    return "a list" if isinstance(node, Sequence) else "a mapping"


@dataclass(frozen=True)
class Text:
    pattern: Pattern | None = None

    @property
    def wanted(self) -> str:
        return self.pattern.wanted if self.pattern else "a text"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> str:
        value = reader.scalar(node, path, self.wanted)
        if not isinstance(value, str):
            assert isinstance(node, Scalar)
            raise reader.wrong(node, path, f"{self.wanted} is wanted, not {spoken(node)}", _unquoted(node, value))
        if self.pattern and not self.pattern.matches(value):
            raise reader.wrong(node, path, f"{value[:80]!r} is not {self.wanted}")
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "string"} | ({"pattern": f"^(?:{self.pattern.regex})$(?!\\n)"} if self.pattern else {})


@dataclass(frozen=True)
class Number:
    low: int | None = None
    high: int | None = None

    @property
    def wanted(self) -> str:
        return "a whole number" + (f" from {self.low} to {self.high}" if self.low is not None else "")

    def read(self, reader: Reader, node: Node, path: KeyPath) -> int:
        value = reader.scalar(node, path, self.wanted)
        if type(value) is not int:
            assert isinstance(node, Scalar)
            hint = "22:22 is a number of base 60 to YAML 1.1 only" if _BASE_60.fullmatch(node.text) else ""
            if isinstance(value, str) and not node.plain and re.fullmatch("-?[0-9]+", value):
                hint = f"without quotes: {value}"
            raise reader.wrong(node, path, f"{self.wanted} is wanted, not {spoken(node)}", hint)
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise reader.wrong(node, path, f"{value} is not {self.wanted}")
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "integer"} | ({"minimum": self.low, "maximum": self.high} if self.low is not None else {})


@dataclass(frozen=True)
class Flag:
    wanted = "true or false"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> bool:
        value = reader.scalar(node, path, self.wanted)
        if not isinstance(value, bool):
            right = _YES_NO.get(value.lower()) if isinstance(value, str) else None
            hint = f"{value} is a text in YAML 1.2: write {right}" if right else ""
            raise reader.wrong(node, path, f"{self.wanted} is wanted, not {spoken(node)}", hint)
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Choice:
    values: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return " or ".join(self.values)

    def read(self, reader: Reader, node: Node, path: KeyPath) -> str:
        value = reader.scalar(node, path, self.wanted)
        if value not in self.values:
            hint = guess(value, self.values) if isinstance(value, str) else ""
            raise reader.wrong(node, path, f"{self.wanted} is wanted, not {spoken(node)}", hint)
        return str(value)

    def json(self, define: Define) -> dict[str, Any]:
        return {"enum": list(self.values)}


@dataclass(frozen=True)
class Either:
    """The first kind that a value's type fits."""

    kinds: tuple[Kind, ...]

    @property
    def wanted(self) -> str:
        return " or ".join(kind.wanted for kind in self.kinds)

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        for kind in self.kinds:
            attempt = Reader()
            attempt.visited = reader.visited
            try:
                value = kind.read(attempt, node, path)
            except Wrong:
                continue
            if attempt.problems:
                continue
            reader.places.update(attempt.places)
            reader.visited = attempt.visited
            return value
        raise reader.wrong(node, path, f"{self.wanted} is wanted, not {spoken(node)}")

    def json(self, define: Define) -> dict[str, Any]:
        return {"anyOf": [kind.json(define) for kind in self.kinds]}


@dataclass(frozen=True)
class ListOf:
    item: Kind

    @property
    def wanted(self) -> str:
        return f"a list ({self.item.wanted} each)"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            hint = "write [] for an empty list, or leave the key out" if _is_null(node) else ""
            hint = f"write [{node.text}]" if isinstance(node, Scalar) and not hint and len(node.text) < 40 else hint
            raise reader.wrong(node, path, f"a list is wanted, not {spoken(node)}", hint)
        values, failed = [], None
        for index, item in enumerate(node.items):
            try:
                values.append(reader.read(self.item, item, (*path, index)))
            except Wrong as wrong:
                failed = wrong
        if failed:
            raise failed
        return tuple(values)

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "array", "items": self.item.json(define)}


@dataclass(frozen=True)
class MapOf:
    item: Kind

    @property
    def wanted(self) -> str:
        return f"a mapping ({self.item.wanted} each)"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Mapping[str, Any]:
        values, failed = {}, None
        for name, _, item in reader.pairs(node, path):
            try:
                values[name] = reader.read(self.item, item, (*path, name))
            except Wrong as wrong:
                failed = wrong
        if failed:
            raise failed
        return values

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.item.json(define)}


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and not node.text


def _unquoted(node: Scalar, value: Any) -> str:
    """Why a plain scalar is no text."""
    if value is None:
        return 'write "" for an empty text, or leave the key out' if not node.text else f'write "{node.text}"'
    if type(value) is int and re.fullmatch(r"[-+]?0[0-7]+", node.text):
        return f'{node.text} without quotes is the number {value} in YAML: write "{node.text}"'
    return f'write "{node.text}" in quotes'
