"""Schema: classes are the grammar of a spec. Their annotations read and check YAML nodes, and become JSON Schema.

    str int bool                      the same type; nothing is converted
    int | str                         a union
    Literal["a", "b"]                 one of these strings
    tuple[X, ...]                     a list of X
    Mapping[str, X]                   a mapping with any keys
    a class with `@mapping`           a mapping with these keys; a field without default is required
    Annotated[str, Pattern(…)]        a string that matches a regular expression as a whole
    Annotated[int, Range(low, high)]  an integer in the range, both ends included
    X | None = None                   an optional key, which may not be null
    Annotated[X, Key("a.b")]          X, under a key that is not a Python name

Such a class may have a method `problems()` for rules that concern several fields. It yields Violations, which the JSON
Schema does not contain.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from typing import Any

from pipeline.language.document import Node
from pipeline.language.kinds import Boolean, Choice, Either, Integer, ListOf, MapOf, String
from pipeline.language.problem import KeyPath, Violations, suggestion
from pipeline.language.reader import Define, Kind, Reader

Class = typing.TypeVar("Class")


class Key(typing.NamedTuple):
    """The key of a field, where it is not a Python name: `binds.add`."""

    name: str


@typing.dataclass_transform(kw_only_default=True, frozen_default=True)
def mapping(cls: type[Class]) -> type[Class]:
    """Class decorator for the value of a YAML mapping: keyword-only and immutable.

    A frozen dataclass without generated code, which would take a tenth of the start-up.
    """
    cls.__init__ = _init  # type: ignore[method-assign]
    cls.__setattr__ = _frozen  # type: ignore[method-assign]
    return cls


def _init(self: Any, **values: Any) -> None:
    known = fields(self.__class__).values()
    if unknown := values.keys() - {field.name for field in known}:
        raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
    if missing := [field.name for field in known if field.required and field.name not in values]:
        raise TypeError(f"{type(self).__name__} lacks {', '.join(missing)}")
    self.__dict__.update(values)  # the class has the defaults of the others


def _frozen(self: Any, name: str, value: Any) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")


def is_mapping(cls: Any) -> bool:
    """Returns True for a class with the decorator `mapping`."""
    return getattr(cls, "__init__", None) is _init


class Struct(typing.NamedTuple):
    """A class with `@mapping`. Its fields are resolved on first use, so that importing a section stays cheap."""

    type: type

    @property
    def expected(self) -> str:
        return "a mapping"

    def read(self, reader: Reader, node: Node, path: KeyPath) -> Any:
        known, error = fields(self.type), None
        pairs = reader.pairs(node, path)
        for name, key, _ in pairs:
            if name not in known:
                error = reader.invalid(key, path, f"unknown key {name!r}", suggestion(name, list(known)))
        for name in known.keys() - {pair[0] for pair in pairs}:
            if known[name].required:
                error = reader.invalid(node, path, f"{name!r} is missing")
        values = reader.read_all(
            (known[name].name, known[name].kind, item, (*path, name)) for name, _, item in pairs if name in known
        )
        if error:
            raise error
        return self.type(**values)

    def json(self, define: Define) -> dict[str, Any]:
        return define(self.type)


class Field(typing.NamedTuple):
    name: str
    kind: Kind
    required: bool
    default: Any


@functools.cache
def fields(cls: Any) -> Mapping[str, Field]:
    """Returns the keys of a class and their fields, the required ones first."""
    by_key = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        key, arguments = name, typing.get_args(hint)
        if typing.get_origin(hint) is typing.Annotated and isinstance(arguments[-1], Key):
            hint, key = arguments[0], arguments[-1].name
        by_key[key] = Field(name, kind(hint), not hasattr(cls, name), getattr(cls, name, None))
    return dict(sorted(by_key.items(), key=lambda item: not item[1].required))


@functools.cache
def kind(annotation: Any) -> Kind:
    """Returns the kind of an annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        base, rule = arguments
        return String(rule) if base is str else Integer(rule.low, rule.high)
    if origin is typing.Literal:
        return Choice(arguments)
    if origin in (types.UnionType, typing.Union):
        kinds = tuple(kind(argument) for argument in arguments if argument is not type(None))
        return kinds[0] if len(kinds) == 1 else Either(kinds)
    if origin is tuple:
        return ListOf(kind(arguments[0]))
    if origin is not None and issubclass(origin, Mapping):
        return MapOf(kind(arguments[1]))
    if is_mapping(annotation):
        return Struct(annotation)
    return _SIMPLE[annotation]


_SIMPLE: Mapping[typing.Hashable, Kind] = {str: String(), int: Integer(), bool: Boolean()}


def plain(value: Any) -> Any:
    """Returns a value as JSON. Mappings have the keys that the document has, and those with a default."""
    if is_mapping(value.__class__):
        pairs = ((name, getattr(value, field.name)) for name, field in fields(value.__class__).items())
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return value


def violations(value: Any, path: KeyPath = ()) -> Violations:
    """Calls `problems()` of `value` and of all values in it."""
    if is_mapping(value.__class__):
        for below, message, hint in getattr(value, "problems", tuple)():
            yield (*path, *below), message, hint
        for name, field in fields(value.__class__).items():
            yield from violations(getattr(value, field.name), (*path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from violations(item, (*path, index))
