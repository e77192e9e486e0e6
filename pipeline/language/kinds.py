"""Kinds: what a value of a spec may be. Each kind reads nodes, says what is wanted, and gives its JSON Schema.

pipeline.language.schema turns annotations into kinds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.language.document import Node, Scalar, Sequence
from pipeline.language.problem import DID_YOU_MEAN, KeyPath, suggestion
from pipeline.language.reader import Define, InvalidValue, Kind, Reader, spoken

_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SPECIAL = {"true", "false", "null", *_YES_NO}
_BASE_60 = re.compile(r"[0-9]+(:[0-5]?[0-9])+")


class Pattern:
    """A text must match `regex` as a whole; `wanted` says in words what is right.

    The expression is also used in JSON Schema, so it keeps to what Python and ECMA 262 share.
    """

    def __init__(self, regex: str, wanted: str, near: tuple[str, ...] = (), separates: bool = False) -> None:
        """near: words that a wrong text may have been meant for. separates: where a list is wanted, a text with spaces
        is several, as a shell has them."""
        self.regex, self.wanted, self.near, self.separates = regex, wanted, near, separates

    def matches(self, text: str) -> bool:
        """Whether it does. (Compiled only now: most runs meet few of the patterns.)"""
        return re.fullmatch(self.regex, text) is not None


class Range:
    """A number must be from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high


class Text(NamedTuple):
    pattern: Pattern | None = None

    @property
    def wanted(self) -> str:
        return self.pattern.wanted if self.pattern else "a text"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> str:
        value = reader.scalar(node, path, self.wanted)
        if not isinstance(value, str):
            assert isinstance(node, Scalar)
            raise reader.invalid(node, path, f"{self.wanted} is wanted, not {spoken(node)}", _unquoted(node, value))
        if self.pattern and not self.pattern.matches(value):
            word = value.partition(":")[0]
            hint = suggestion(word, self.pattern.near) if word not in self.pattern.near else ""
            raise reader.invalid(node, path, f"{value[:80]!r} is not {self.wanted}", hint)
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "string"} | ({"pattern": f"^(?:{self.pattern.regex})$(?!\\n)"} if self.pattern else {})


class Number(NamedTuple):
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
            raise reader.invalid(node, path, f"{self.wanted} is wanted, not {spoken(node)}", hint)
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise reader.invalid(node, path, f"{value} is not {self.wanted}")
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "integer"} | ({"minimum": self.low, "maximum": self.high} if self.low is not None else {})


class Flag:
    wanted = "true or false"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> bool:
        value = reader.scalar(node, path, self.wanted)
        if not isinstance(value, bool):
            right = _YES_NO.get(value.lower()) if isinstance(value, str) else None
            hint = f"{value} is a text in YAML 1.2: write {right}" if right else ""
            raise reader.invalid(node, path, f"{self.wanted} is wanted, not {spoken(node)}", hint)
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice(NamedTuple):
    values: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return " or ".join(self.values)

    def read(self, reader: Reader, node: Node, path: KeyPath) -> str:
        value = reader.scalar(node, path, self.wanted)
        if value not in self.values:
            hint = suggestion(value, self.values) if isinstance(value, str) else ""
            raise reader.invalid(node, path, f"{self.wanted} is wanted, not {spoken(node)}", hint)
        return str(value)

    def json(self, define: Define) -> dict[str, Any]:
        return {"enum": list(self.values)}


class Either(NamedTuple):
    """The first kind that a value's type fits."""

    kinds: tuple[Kind, ...]

    @property
    def wanted(self) -> str:
        return " or ".join(kind.wanted for kind in self.kinds)

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        hints: list[str] = []
        for kind in self.kinds:
            attempt = Reader()
            attempt.visited = reader.visited
            try:
                value = kind.read(attempt, node, path)
            except InvalidValue:
                hints += [problem.hint for problem in attempt.problems if problem.hint.startswith(DID_YOU_MEAN)]
                continue
            if attempt.problems:
                continue
            reader.places.update(attempt.places)
            reader.visited = attempt.visited
            return value
        raise reader.invalid(node, path, f"{self.wanted} is wanted, not {spoken(node)}", *hints[:1])

    def json(self, define: Define) -> dict[str, Any]:
        return {"anyOf": [kind.json(define) for kind in self.kinds]}


class ListOf(NamedTuple):
    item: Kind

    @property
    def wanted(self) -> str:
        return f"a list ({self.item.wanted} each)"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            hint = "write [] for an empty list, or leave the key out" if _is_null(node) else ""
            hint = self._listed(node) if isinstance(node, Scalar) and not hint and len(node.text) < 40 else hint
            raise reader.invalid(node, path, f"a list is wanted, not {spoken(node)}", hint)
        values, failed = [], None
        for index, item in enumerate(node.items):
            try:
                values.append(reader.read(self.item, item, (*path, index)))
            except InvalidValue as wrong:
                failed = wrong
        if failed:
            raise failed
        return tuple(values)

    def _listed(self, node: Scalar) -> str:
        """The list that a scalar was meant for."""
        if not isinstance(self.item, Text):
            return f"write [{node.text}]"
        words = _words(node.text) if self.item.pattern and self.item.pattern.separates else [node.text]
        return f"write [{', '.join(map(_quoted, words))}]"

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "array", "items": self.item.json(define)}


class MapOf(NamedTuple):
    item: Kind

    @property
    def wanted(self) -> str:
        return f"a mapping ({self.item.wanted} each)"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Mapping[str, Any]:
        values, failed = {}, None
        for name, _, item in reader.pairs(node, path):
            try:
                values[name] = reader.read(self.item, item, (*path, name))
            except InvalidValue as wrong:
                failed = wrong
        if failed:
            raise failed
        return values

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.item.json(define)}


def _words(text: str) -> list[str]:
    """The words of a command, as a shell separates them."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark that is never closed
        return text.split()


def _quoted(word: str) -> str:
    """The text `word` as YAML has it in a list."""
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9/._@+=-]*(:[A-Za-z0-9/._@+=-]+)*", word) is not None
    return word if plain and word.lower() not in _SPECIAL else json.dumps(word, ensure_ascii=False)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and not node.text


def _unquoted(node: Scalar, value: Any) -> str:
    """Why a plain scalar is no text."""
    if value is None:
        return 'write "" for an empty text, or leave the key out' if not node.text else f'write "{node.text}"'
    if type(value) is int and re.fullmatch(r"[-+]?0[0-7]+", node.text):
        return f'{node.text} without quotes is the number {value} in YAML: write "{node.text}"'
    return f'write "{node.text}" in quotes'
