"""Reader: turns YAML nodes into values, kind by kind, and collects problems with their places."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pipeline.language import document
from pipeline.language.document import MAX_NODES, Node, Scalar, Sequence
from pipeline.language.problem import KeyPath, Place, Problem, Problems, dotted

Define = Callable[[type], dict[str, Any]]
"""Returns the JSON Schema of a class: a reference to its definition."""


class Kind(Protocol):
    """A type of values."""

    @property
    def expected(self) -> str:
        """The type in words: "a string", "an integer from 1 to 9"."""

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        """Returns the value of `node`. InvalidValue, after recording the problem."""

    def json(self, define: Define) -> dict[str, Any]:
        """Returns the JSON Schema (draft 2020-12) that accepts the same values."""


class InvalidValue(Exception):
    """A value that cannot be used; its problem has been recorded."""


Pair = tuple[str, Node, Node]
"""A key, its node, and the node of its value."""


class Reader:
    """Reads nodes into values. Continues after a problem, so that one run finds all of them.

    problems: those found so far. places: the place of each value, by its path.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: dict[KeyPath, Place] = {}
        self.visited = 0

    def read(self, kind: Kind, node: Node, path: KeyPath) -> Any:
        """Returns the value of `node`. InvalidValue, after recording the problem."""
        self.visit(node)
        self.places[path] = node.place
        return kind.read(self, node, path)

    def read_all(self, items: Iterable[tuple[Any, Kind, Node, KeyPath]]) -> dict[Any, Any]:
        """Reads values by name. InvalidValue, after all have been read."""
        values, error = {}, None
        for name, kind, node, path in items:
            try:
                values[name] = self.read(kind, node, path)
            except InvalidValue as invalid:
                error = invalid
        if error:
            raise error
        return values

    def place(self, path: KeyPath) -> Place:
        """Returns the place of the value at `path`, or of the nearest value that contains it."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def attempt(self, kind: Kind, node: Node, path: KeyPath) -> tuple[Any, list[Problem]]:
        """Returns the value of `node` and its problems, which are not recorded. The value is None if it is invalid."""
        first, visited, value = len(self.problems), self.visited, None
        with contextlib.suppress(InvalidValue):
            value = kind.read(self, node, path)
        problems = self.problems[first:]
        del self.problems[first:]
        if problems:
            self.visited = visited
        return value, problems

    def visit(self, node: Node) -> None:
        """Counts a node, once for every alias that leads to it. Problems beyond MAX_NODES."""
        self.visited += 1
        if self.visited > MAX_NODES:
            raise Problems(
                [Problem(node.place, f"aliases expand this to more than {MAX_NODES} values", "use fewer aliases")]
            )

    def invalid(self, node: Node, path: KeyPath, message: str, hint: str = "") -> InvalidValue:
        """Records a problem with the value at `path`. Returns the exception, for the caller to raise."""
        self.problems.append(Problem(node.place, f"{dotted(path)}: {message}" if path else message, hint))
        return InvalidValue()

    def unexpected(self, node: Node, path: KeyPath, expected: str, hint: str = "") -> InvalidValue:
        """Records that `node` is of another type than `expected`. Returns the exception, for the caller to raise."""
        return self.invalid(node, path, f"expected {expected}, not {describe(node)}", hint)

    def scalar(self, node: Node, path: KeyPath, expected: str) -> Any:
        """Returns the value of a scalar node. InvalidValue for lists and mappings."""
        if not isinstance(node, Scalar):
            raise self.unexpected(node, path, expected)
        try:
            return document.value(node)
        except ValueError as error:
            raise self.invalid(node, path, str(error), "remove the tag") from None

    def pairs(self, node: Node, path: KeyPath) -> list[Pair]:
        """Returns the pairs of a mapping, with merge keys expanded. Records keys that are duplicate or not strings."""
        if not isinstance(node, document.Mapping):
            raise self.unexpected(node, path, "a mapping")
        self.visit(node)
        own: dict[str, Pair] = {}
        merged: dict[str, Pair] = {}
        for name_node, item in node.pairs:
            if document.is_merge_key(name_node):
                for mapping in item.items if isinstance(item, Sequence) else [item]:
                    for pair in self.pairs(mapping, path):
                        merged.setdefault(pair[0], pair)
                continue
            name = self.key(name_node, path)
            if name in own:
                self.invalid(name_node, path, f"duplicate key {name!r}", f"first in line {own[name][1].place.line}")
            elif name is not None:
                own[name] = (name, name_node, item)
        return list((merged | own).values())

    def key(self, node: Node, path: KeyPath) -> str | None:
        """Returns a key's string; None, after recording the problem, for anything else."""
        name = document.value(node) if isinstance(node, Scalar) and not node.tag else None
        if isinstance(name, str):
            return name
        hint = f'write "{node.text}"' if isinstance(node, Scalar) else ""
        self.invalid(node, path, f"a key must be a string, not {describe(node)}", hint)
        return None


def describe(node: Node) -> str:
    """Returns the node in words, for messages: "the string 'a'", "a list"."""
    if isinstance(node, Scalar):
        try:
            value = document.value(node)
        except ValueError:
            return "a tagged value"
        if isinstance(value, str):
            return f"the string {value[:40]!r}"
        name = "boolean" if isinstance(value, bool) else "number"
        return "nothing (null)" if value is None else f"the {name} {node.text[:40]}"
    return "a list" if isinstance(node, Sequence) else "a mapping"
