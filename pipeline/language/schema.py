"""Schema: classes are the grammar of a spec. Their annotations read YAML nodes, check them and describe themselves.

    str int bool                      as they are; nothing is converted
    int | str                         either
    Literal["a", "b"]                 one of these
    tuple[X, ...]                     a list of X
    Mapping[str, X]                   a mapping with any keys
    a class marked `@mapping`         a mapping with these keys; a field without default is required
    Annotated[str, Pattern(…)]        text that matches a regular expression as a whole
    Annotated[int, Range(low, high)]  a number in the range, both ends included
    X | None = None                   a key that may be left out; written out, it may not be null

    Annotated[X, Key("a.b")]          X, under a key that is no Python name

Such a class may have a method `problems()` for what its fields mean together: it yields (path below the value, message,
hint), and only it is unknown to the JSON Schema.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.language.document import Node
from pipeline.language.kinds import Choice, Either, Flag, ListOf, MapOf, Number, Pattern, Range, Text
from pipeline.language.problem import KeyPath, Problem, Problems, StageProblem, collect_warnings, suggestion, warn
from pipeline.language.reader import Define, InvalidValue, Kind, Reader

__all__ = [
    "InvalidValue",
    "Key",
    "Kind",
    "Pattern",
    "Problem",
    "Problems",
    "Range",
    "Reader",
    "StageProblem",
    "checked",
    "collect_warnings",
    "fields",
    "is_mapping",
    "kind",
    "mapping",
    "plain",
    "warn",
]  # fmt: skip

Class = typing.TypeVar("Class")


class Key(typing.NamedTuple):
    """Says the key of a field whose key is no Python name: `binds.add`."""

    name: str


@typing.dataclass_transform(kw_only_default=True, frozen_default=True)
def mapping(cls: type[Class]) -> type[Class]:
    """Class decorator for what a mapping of YAML becomes: a value that is made from keywords and never changed.

    A frozen dataclass without generated code, which for some thirty classes is a tenth of a start-up.
    """
    cls.__init__ = _init  # type: ignore[method-assign]
    cls.__setattr__ = _frozen  # type: ignore[method-assign]
    return cls


def _init(self: Any, **values: Any) -> None:
    known = fields(self.__class__).values()
    if wrong := values.keys() - {field.name for field in known}:
        raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(wrong))}")
    if missing := [field.name for field in known if field.required and field.name not in values]:
        raise TypeError(f"{type(self).__name__} lacks {', '.join(missing)}")
    self.__dict__.update(values)  # all others are as their class has them


def _frozen(self: Any, name: str, value: Any) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")


def is_mapping(record: Any) -> bool:
    """Whether `record` is a class that `mapping` made."""
    return getattr(record, "__init__", None) is _init


class Record(typing.NamedTuple):
    """A class marked `@mapping`. Its fields are looked at when it is first read: importing a section stays cheap."""

    type: type

    @property
    def wanted(self) -> str:
        return "a mapping"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        kinds, values, failed = fields(self.type), {}, None
        for name, place, item in reader.pairs(node, path):
            if name not in kinds:
                failed = reader.invalid(place, path, f"unknown key {name!r}", suggestion(name, list(kinds)))
                continue
            try:
                values[kinds[name].name] = reader.read(kinds[name].kind, item, (*path, name))
            except InvalidValue as wrong:
                failed = wrong
                values[kinds[name].name] = None
        for name, field in kinds.items():
            if field.required and field.name not in values:
                failed = reader.invalid(node, path, f"{name!r} is missing")
        if failed:
            raise failed
        return self.type(**values)

    def json(self, define: Define) -> dict[str, Any]:
        return define(self.type)


class Field(typing.NamedTuple):
    name: str
    kind: Kind
    required: bool
    default: Any


@functools.cache
def fields(record: Any) -> Mapping[str, Field]:
    """The keys of a class and what may stand there, the required ones first."""
    found = {}
    for name, hint in typing.get_type_hints(record, include_extras=True).items():
        key, arguments = name, typing.get_args(hint)
        if typing.get_origin(hint) is typing.Annotated and isinstance(arguments[-1], Key):
            hint, key = arguments[0], arguments[-1].name
        found[key] = Field(name, kind(hint), not hasattr(record, name), getattr(record, name, None))
    return dict(sorted(found.items(), key=lambda item: not item[1].required))


@functools.cache
def kind(annotation: Any) -> Kind:
    """What an annotation stands for."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        base, rule = arguments
        return Text(rule) if base is str else Number(rule.low, rule.high)
    if origin is typing.Literal:
        return Choice(arguments)
    if origin in (types.UnionType, typing.Union):
        kinds = tuple(kind(each) for each in arguments if each is not type(None))
        return kinds[0] if len(kinds) == 1 else Either(kinds)
    if origin is tuple:
        return ListOf(kind(arguments[0]))
    if origin is not None and issubclass(origin, Mapping):
        return MapOf(kind(arguments[1]))
    if is_mapping(annotation):
        return Record(annotation)
    return _SIMPLE[annotation]


_SIMPLE: Mapping[typing.Hashable, Kind] = {str: Text(), int: Number(), bool: Flag()}


def plain(value: Any) -> Any:
    """A value as JSON: mappings with the keys that were written (or have a default)."""
    if is_mapping(value.__class__):
        pairs = ((name, getattr(value, field.name)) for name, field in fields(value.__class__).items())
        return {name: plain(each) for name, each in pairs if each is not None}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return value


def checked(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str, str]]:
    """What `problems()` of the mappings in `value` say: path, message, hint."""
    if is_mapping(value.__class__):
        for below, message, hint in getattr(value, "problems", tuple)():
            yield (*path, *below), message, hint
        for name, field in fields(value.__class__).items():
            yield from checked(getattr(value, field.name), (*path, name))
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from checked(each, (*path, index))
