"""Kinds: the types of values. Each kind reads nodes, names the expected type, and returns its JSON Schema.

pipeline.language.schema turns annotations into kinds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.language.document import Node, Scalar, Sequence
from pipeline.language.problem import DID_YOU_MEAN, KeyPath, suggestion
from pipeline.language.reader import Define, Kind, Reader

_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SPECIAL = {"true", "false", "null", *_YES_NO}
_BASE_60 = re.compile(r"[0-9]+(:[0-5]?[0-9])+")


class Pattern:
    """Strings that match `regex` as a whole, in syntax common to Python and ECMA 262 (JSON Schema).

    expected: the pattern in words. words: suggestions for a wrong string. is_shell_word: a string with spaces in place
    of a list is split as a shell would.
    """

    def __init__(self, regex: str, expected: str, words: tuple[str, ...] = (), is_shell_word: bool = False) -> None:
        self.regex, self.expected, self.words, self.is_shell_word = regex, expected, words, is_shell_word

    def matches(self, text: str) -> bool:  # compiled on first use: most runs need few of the patterns
        return re.fullmatch(self.regex, text) is not None


class Range:
    """Integers from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high


class String(NamedTuple):
    pattern: Pattern | None = None

    @property
    def expected(self) -> str:
        return self.pattern.expected if self.pattern else "a string"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> str:
        value = reader.scalar(node, path, self.expected)
        if not isinstance(value, str):
            assert isinstance(node, Scalar)
            raise reader.unexpected(node, path, self.expected, _quotes_hint(node, value))
        if self.pattern and not self.pattern.matches(value):
            word = value.partition(":")[0]
            hint = suggestion(word, self.pattern.words) if word not in self.pattern.words else ""
            raise reader.invalid(node, path, f"{value[:80]!r} is not {self.expected}", hint)
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "string"} | ({"pattern": f"^(?:{self.pattern.regex})$(?!\\n)"} if self.pattern else {})


class Integer(NamedTuple):
    low: int | None = None
    high: int | None = None

    @property
    def expected(self) -> str:
        return "an integer" + (f" from {self.low} to {self.high}" if self.low is not None else "")

    def read(self, reader: Reader, node: Node, path: KeyPath) -> int:
        value = reader.scalar(node, path, self.expected)
        if type(value) is not int:
            assert isinstance(node, Scalar)
            hint = "22:22 is a number in YAML 1.1 only" if _BASE_60.fullmatch(node.text) else ""
            if isinstance(value, str) and not node.plain and re.fullmatch("-?[0-9]+", value):
                hint = f"without quotes: {value}"
            raise reader.unexpected(node, path, self.expected, hint)
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise reader.invalid(node, path, f"{value} is not {self.expected}")
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "integer"} | ({"minimum": self.low, "maximum": self.high} if self.low is not None else {})


class Boolean:
    expected = "true or false"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> bool:
        value = reader.scalar(node, path, self.expected)
        if not isinstance(value, bool):
            boolean = _YES_NO.get(value.lower()) if isinstance(value, str) else None
            hint = f"{value} is a string in YAML 1.2: write {boolean}" if boolean else ""
            raise reader.unexpected(node, path, self.expected, hint)
        return value

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice(NamedTuple):
    values: tuple[str, ...]

    @property
    def expected(self) -> str:
        return " or ".join(self.values)

    def read(self, reader: Reader, node: Node, path: KeyPath) -> str:
        value = reader.scalar(node, path, self.expected)
        if value not in self.values:
            hint = suggestion(value, self.values) if isinstance(value, str) else ""
            raise reader.unexpected(node, path, self.expected, hint)
        return str(value)

    def json(self, define: Define) -> dict[str, Any]:
        return {"enum": list(self.values)}


class Either(NamedTuple):
    """A union: the first of `kinds` that accepts the value."""

    kinds: tuple[Kind, ...]

    @property
    def expected(self) -> str:
        return " or ".join(kind.expected for kind in self.kinds)

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        hints: list[str] = []
        for kind in self.kinds:
            value, problems = reader.attempt(kind, node, path)
            if not problems:
                return value
            hints += [problem.hint for problem in problems if problem.hint.startswith(DID_YOU_MEAN)]
        raise reader.unexpected(node, path, self.expected, *hints[:1])

    def json(self, define: Define) -> dict[str, Any]:
        return {"anyOf": [kind.json(define) for kind in self.kinds]}


class ListOf(NamedTuple):
    item: Kind

    @property
    def expected(self) -> str:
        return f"a list ({self.item.expected} each)"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            hint = "write [] for an empty list, or leave the key out" if _is_null(node) else ""
            hint = self._list_hint(node) if isinstance(node, Scalar) and not hint and len(node.text) < 40 else hint
            raise reader.unexpected(node, path, "a list", hint)
        items = ((index, self.item, item, (*path, index)) for index, item in enumerate(node.items))
        return tuple(reader.read_all(items).values())

    def _list_hint(self, node: Scalar) -> str:
        """Returns a hint for a scalar in place of a list."""
        if not isinstance(self.item, String):
            return f"write [{node.text}]"
        words = _words(node.text) if self.item.pattern and self.item.pattern.is_shell_word else [node.text]
        return f"write [{', '.join(map(_quoted, words))}]"

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "array", "items": self.item.json(define)}


class MapOf(NamedTuple):
    item: Kind

    @property
    def expected(self) -> str:
        return f"a mapping ({self.item.expected} each)"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Mapping[str, Any]:
        return reader.read_all((name, self.item, item, (*path, name)) for name, _, item in reader.pairs(node, path))

    def json(self, define: Define) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.item.json(define)}


def _words(text: str) -> list[str]:
    """Splits a command into words as a shell does."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark that is never closed
        return text.split()


def _quoted(word: str) -> str:
    """Returns `word` as YAML writes it in a list."""
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9/._@+=-]*(:[A-Za-z0-9/._@+=-]+)*", word) is not None
    return word if plain and word.lower() not in _SPECIAL else json.dumps(word, ensure_ascii=False)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and not node.text


def _quotes_hint(node: Scalar, value: Any) -> str:
    """Returns a hint for a plain scalar that is not a string."""
    if value is None:
        return 'write "" for an empty string, or leave the key out' if not node.text else f'write "{node.text}"'
    if type(value) is int and re.fullmatch(r"[-+]?0[0-7]+", node.text):
        return f'{node.text} without quotes is the number {value} in YAML: write "{node.text}"'
    return f'write "{node.text}" in quotes'
