"""Reader: YAML nodes become values, kind by kind; what is wrong is noted, with its place, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pipeline.language import document
from pipeline.language.document import MAX_NODES, Node, Scalar, Sequence
from pipeline.language.problem import KeyPath, Place, Problem, Problems, dotted

Define = Callable[[type], dict[str, Any]]
"""Gives the JSON Schema that stands for a class (a reference to its definition)."""


class Kind(Protocol):
    """What a value may be."""

    @property
    def wanted(self) -> str:
        """In words: "a text", "a whole number from 1 to 9"."""

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        """The value of `node`; InvalidValue, after noting why, if it is none of this kind."""

    def json(self, define: Define) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) that takes the same values."""


class InvalidValue(Exception):
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
        """The value of `node`, or InvalidValue after noting why."""
        self.visit(node)
        self.places[path] = node.place
        return kind.read(self, node, path)

    def visit(self, node: Node) -> None:
        """Count a node. The same one comes again and again where aliases lead to it."""
        self.visited += 1
        if self.visited > MAX_NODES:
            raise Problems([Problem(node.place, f"aliases make this more than {MAX_NODES} values", "write less")])

    def invalid(self, node: Node, path: KeyPath, message: str, hint: str = "") -> InvalidValue:
        where = f" under {dotted(path)}" if path else ""
        self.problems.append(Problem(node.place, message + where, hint))
        return InvalidValue()

    def scalar(self, node: Node, path: KeyPath, wanted: str) -> Any:
        """What a scalar node stands for; a list or a mapping is wrong."""
        if not isinstance(node, Scalar):
            raise self.invalid(node, path, f"{wanted} is wanted, not {spoken(node)}")
        try:
            return document.value(node)
        except ValueError as error:
            raise self.invalid(node, path, str(error), "remove the tag") from None

    def pairs(self, node: Node, path: KeyPath) -> list[Pair]:
        """Key, the key's node, value. Merge keys are followed; what stands twice or is no text is noted."""
        if not isinstance(node, document.Mapping):
            raise self.invalid(node, path, f"a mapping is wanted, not {spoken(node)}")
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
                self.invalid(name_node, path, f"{name!r} stands twice", f"first in line {own[name][1].place.line}")
            elif name is not None:
                own[name] = (name, name_node, item)
        return list((merged | own).values())

    def key(self, node: Node, path: KeyPath) -> str | None:
        """The text of a key; None, after noting it, if it is none."""
        name = document.value(node) if isinstance(node, Scalar) and not node.tag else None
        if isinstance(name, str):
            return name
        hint = f'write "{node.text}"' if isinstance(node, Scalar) else ""
        self.invalid(node, path, f"a key must be a text, not {spoken(node)}", hint)
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
