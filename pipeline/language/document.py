"""YAML documents: nodes with their places, the values of scalars, and documents merged into one.

Source: the core schema of YAML 1.2 (yaml.org/spec/1.2.2, chapter 10.3), as LinuxKit's parser reads it: `no`, `on` and
`22:22` are strings, `0644` is an octal number, `<<` merges mappings. Nodes are built from libyaml's events one by one,
so that depth and size have limits while the document is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.language.problem import Place, Problem, Problems

MAX_BYTES = 16 << 20
"""Maximum size of a spec, in bytes. The largest real ones have some hundred KiB, with files inside."""
MAX_DEPTH = 64
"""Maximum depth of nesting. A spec needs 7 levels; libyaml's time grows with the square of the depth."""
TOO_DEEP = "exceeded maximum nesting depth"
"""libyaml's message for more than 1000 levels (0.2.6 and newer). libyaml reads ahead, so that this message can come
before the event that exceeds MAX_DEPTH."""
MAX_NODES = 200_000
"""Maximum number of values in a document with its aliases expanded."""


class Scalar(NamedTuple):
    place: Place
    text: str
    plain: bool
    """Without quotes: the text decides the type."""
    tag: str = ""


class Sequence(NamedTuple):
    place: Place
    items: list[Node]


class Mapping(NamedTuple):
    place: Place
    pairs: list[tuple[Node, Node]]


Node = Scalar | Sequence | Mapping

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + name: name for name in ("str", "int", "float", "bool", "null")}
_STARTERS = frozenset("0123456789+-.~ntfNTF")


def parse(unsafe_text: bytes, file: str) -> Node | None:
    """Returns the document in `unsafe_text`; None if it is empty. Raises Problems, with places in `file`."""
    if len(unsafe_text) > MAX_BYTES:
        raise problem_at(file, 1, 1, f"the file has {len(unsafe_text)} bytes", f"at most {MAX_BYTES >> 20} MiB")
    if unsafe_text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise problem_at(file, 1, 1, "the file begins with a byte order mark (BOM)", "save it as UTF-8 without BOM")
    try:
        text = unsafe_text.decode()
    except UnicodeDecodeError as error:
        line = unsafe_text.count(b"\n", 0, error.start) + 1
        column = error.start - unsafe_text.rfind(b"\n", 0, error.start)
        raise problem_at(file, line, column, "the file is not UTF-8", "save it as UTF-8") from None
    return _compose(text, file)


def problem_at(file: str, line: int, column: int, message: str, hint: str = "") -> Problems:
    """Returns a single problem, for the caller to raise."""
    return Problems([Problem(Place(file, line, column), message, hint)])


def _compose(text: str, file: str) -> Node | None:
    from yaml import CSafeLoader, MarkedYAMLError, parse
    from yaml.reader import ReaderError

    try:
        return _Builder(file).build(parse(text, Loader=CSafeLoader))
    except MarkedYAMLError as error:
        if error.problem == TOO_DEEP and error.problem_mark and error.problem_mark.index < len(text):
            _compose(text[: error.problem_mark.index], file)  # again, without the part that libyaml refuses
        raise Problems([_syntax(error, text, file)]) from None
    except ReaderError as error:
        unsafe_character = chr(error.character) if isinstance(error.character, int) else str(error.character)
        start = max(text.find(unsafe_character), 0)
        line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
        message = f"the character {unsafe_character!r} is not allowed in YAML"
        raise problem_at(file, line, column, message, 'write it as "\\x.." in double quotes') from None


def _syntax(error: Any, text: str, file: str) -> Problem:
    """Translates libyaml's error. A tab in an indentation gets a message of its own."""
    mark = error.problem_mark or error.context_mark
    lines = text.split("\n")
    for number in dict.fromkeys((mark.line, max(mark.line - 1, 0))):
        line = lines[number] if number < len(lines) else ""
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            place = Place(file, number + 1, indent.index("\t") + 1)
            return Problem(place, "a tab indents this line", "YAML is indented with spaces only")
    message = f"invalid YAML: {error.problem}" + (f" {error.context}" if error.context else "")
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    return Problem(Place(file, mark.line + 1, mark.column + 1), message, _quotes_hint(rest))


def _quotes_hint(rest: str) -> str:
    """Returns a hint if the `rest` of the line looks like a string that lacks quotes."""
    if rest[:1] in ("@", "`", "%"):
        return f"a string that starts with {rest[0]} needs quotes"
    return "a string that contains a colon and a space needs quotes" if rest.startswith(":") else ""


class _Builder:
    """Builds the nodes of one document from libyaml's events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.root: Node | None = None
        self.open: list[tuple[Node, list[Node]]] = []

    def build(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self.fail(event, "a second document starts here", "a file contains one spec: remove this '---'")
            elif kind == "ScalarEvent":
                tag = "" if event.implicit[0] or event.implicit[1] else event.tag
                plain = event.style is None or event.style == ""
                self.add(Scalar(self.place(event), event.value, plain, tag or ""), event.anchor)
            elif kind in ("MappingStartEvent", "SequenceStartEvent"):
                self.start(event, kind == "MappingStartEvent")
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                self.end()
            elif kind == "AliasEvent":
                self.alias(event)
        return self.root

    def start(self, event: Any, is_mapping: bool) -> None:
        if len(self.open) >= MAX_DEPTH:
            self.fail(event, f"nested more than {MAX_DEPTH} levels deep")
        if event.tag and event.tag not in (_CORE + "map", _CORE + "seq"):
            self.fail(event, f"the tag {event.tag!r} is not supported", "remove it: a spec needs no tags")
        node: Node = Mapping(self.place(event), []) if is_mapping else Sequence(self.place(event), [])
        self.add(node, event.anchor)
        self.open.append((node, []))

    def end(self) -> None:
        node, children = self.open.pop()
        if isinstance(node, Mapping):
            node.pairs.extend(zip(children[::2], children[1::2], strict=True))
        elif isinstance(node, Sequence):
            node.items.extend(children)

    def alias(self, event: Any) -> None:
        node = self.anchors.get(event.anchor)
        if node is None:
            message = f"the alias *{event.anchor} has no anchor &{event.anchor} before it"
            self.fail(event, message, f'a string that starts with * needs quotes: "*{event.anchor}"')
        elif any(node is parent for parent, _ in self.open):
            self.fail(event, f"the alias *{event.anchor} is inside its own anchor")
        else:
            self.add(node)

    def add(self, node: Node, anchor: str | None = None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1][1].append(node)
        else:
            self.root = node

    def place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1)

    def fail(self, event: Any, message: str, hint: str = "") -> None:
        raise Problems([Problem(self.place(event), message, hint)])


def value(scalar: Scalar) -> str | int | float | bool | None:
    """Returns the value of `scalar`. ValueError if its tag is unknown or does not fit its text."""
    text = scalar.text
    if scalar.tag:
        return _tagged(scalar)
    if not scalar.plain or (text and text[0] not in _STARTERS):
        return text
    return plain_value(text)


def plain_value(text: str) -> str | int | float | bool | None:
    """Returns the value of `text` without quotes (YAML 1.2, core schema)."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _integer(text: str) -> int:
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-").replace("_", "")
    if len(digits) > 1 and digits[0] == "0" and digits[1] not in "box":
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _tagged(scalar: Scalar) -> str | int | float | bool | None:
    tag = _TAGS.get(scalar.tag)
    if tag == "str":
        return scalar.text
    if tag is None:
        raise ValueError(f"the tag {scalar.tag!r} is not supported")
    value = plain_value(scalar.text)
    types: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}
    if type(value) not in types[tag]:
        raise ValueError(f"{scalar.text!r} does not fit its tag !!{tag}")
    return value


def is_merge_key(key: Node) -> bool:
    return isinstance(key, Scalar) and key.plain and key.text == "<<" and not key.tag


def merge(first: Node, second: Node) -> Node:
    """Merges two documents: concatenates lists, merges mappings key by key, else the second value wins.

    An empty string in the second document does not replace the first value (LinuxKit).
    """
    return _merge(first, second, 0)


def _merge(first: Node, second: Node, level: int) -> Node:
    if isinstance(first, Mapping) and isinstance(second, Mapping) and level < 2:
        pairs = {_key(key): (key, node) for key, node in first.pairs}
        for key, node in second.pairs:
            name = _key(key)
            pairs[name] = (key, _merge(pairs[name][1], node, level + 1)) if name in pairs else (key, node)
        return Mapping(first.place, list(pairs.values()))
    if isinstance(first, Sequence) and isinstance(second, Sequence) and level == 1:
        return Sequence(first.place, first.items + second.items)
    if isinstance(second, Scalar) and not second.text and not second.plain:
        return first
    return second


def _key(key: Node) -> str:
    return key.text if isinstance(key, Scalar) else repr(key)
