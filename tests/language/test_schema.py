"""One description, three uses: the reader, the JSON Schema and the manual say the same."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import sections
from pipeline.language.document import parse
from pipeline.language.kinds import Boolean, Choice, Either, Integer, ListOf, MapOf, String
from pipeline.language.problem import Problems
from pipeline.language.reader import InvalidValue, Kind, Reader
from pipeline.language.schema import Struct, fields, kind, plain
from pipeline.planning import describe

SCHEMA = describe.json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SPEC = {name: kind(section.value) for name, section in sections.sections().items()}

characters = st.characters(categories=("L", "N", "P", "S", "Zs"))


def values(wanted: Kind) -> st.SearchStrategy[Any]:
    """JSON values that a kind takes."""
    if isinstance(wanted, String):
        return (
            st.from_regex(wanted.pattern.regex, fullmatch=True, alphabet=characters)
            if wanted.pattern
            else st.text(characters, max_size=5)
        )
    if isinstance(wanted, Integer):
        return st.integers(wanted.low, wanted.high)
    if isinstance(wanted, Boolean):
        return st.booleans()
    if isinstance(wanted, Choice):
        return st.sampled_from(wanted.values)
    if isinstance(wanted, Either):
        return st.one_of([values(element) for element in wanted.kinds])
    if isinstance(wanted, ListOf):
        return st.lists(values(wanted.item), max_size=2)
    if isinstance(wanted, MapOf):
        return st.dictionaries(st.text(characters, min_size=1, max_size=4), values(wanted.item), max_size=2)
    assert isinstance(wanted, Struct)
    return record(wanted.type)


@st.composite
def record(draw: st.DrawFn, type: type) -> dict[str, Any]:
    known = fields(type)
    optional = [name for name, field in known.items() if not field.required]
    chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=3)) if optional else []
    names = [name for name, field in known.items() if field.required] + chosen
    return {name: draw(values(known[name].kind)) for name in names}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(SPEC)), unique=True, max_size=3))
    return {name: draw(values(SPEC[name])) for name in names}


ODD = [None, True, 7, -1, 2**70, 1.5, "", "no", "/", "../x", "a b", "0644", "CAP_FLY", [], ["x"], [1], {}, {"x": "y"}]


@st.composite
def mutations(draw: st.DrawFn) -> dict[str, Any]:
    """A valid spec with one thing changed: a value replaced, a key added, removed or misspelt, an item added."""
    spec = json.loads(json.dumps(draw(specs())))
    places: list[Any] = [spec]
    for place in places:
        children = place.values() if isinstance(place, dict) else place
        places += [child for child in children if isinstance(child, dict | list)]
    place = draw(st.sampled_from(places))
    odd = draw(st.sampled_from(ODD))
    action = draw(st.sampled_from(["replace", "add", "remove"]))
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    if action == "add" or not keys:
        if isinstance(place, dict):
            place[draw(st.sampled_from(["comand", "name", "x-foo", "build"]))] = odd
        else:
            place.append(odd)
    else:
        chosen = draw(st.sampled_from(keys))
        if action == "remove":
            del place[chosen]
        else:
            place[chosen] = odd
    return spec


def read(document: Any) -> dict[str, Any]:
    """The sections' values, by the reader alone; Problems if it refuses."""
    node = parse(json.dumps(document, ensure_ascii=False).encode(), "a.yml")
    assert node is not None
    reader = Reader()
    result: dict[str, Any] = {}
    try:
        for name, place, item in reader.pairs(node, ()):
            if name not in SPEC:
                reader.invalid(place, (), "unknown key")
                continue
            try:
                result[name] = reader.read(SPEC[name], item, (name,))
            except InvalidValue:
                continue
    except InvalidValue:
        pass
    if reader.problems:
        raise Problems(reader.problems)
    return result


def is_read(document: Any) -> bool:
    try:
        read(document)
    except Problems:
        return False
    return True


quiet = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


@quiet
@given(specs())
def test_what_is_read_dumped_and_read_again_is_the_same(document: dict[str, Any]) -> None:
    value = read(document)
    assert plain(read(plain(value))) == plain(value)


@quiet
@given(specs())
def test_what_the_kinds_generate_is_taken_by_reader_and_schema(document: dict[str, Any]) -> None:
    assert is_read(document)
    assert VALIDATOR.is_valid(document)


@settings(quiet, max_examples=600)
@given(mutations())
def test_a_mutation_is_taken_by_both_or_by_neither(document: dict[str, Any]) -> None:
    assert is_read(document) == VALIDATOR.is_valid(document)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_key_is_explained() -> None:
    for name, definition in SCHEMA["$defs"].items():
        assert definition["description"], name
        for key, value in definition["properties"].items():
            assert value["description"].endswith("."), f"{name}.{key}"


def test_linuxkits_regular_expressions_hold_for_javascript() -> None:
    """ECMA 262 knows no \\Z, no (?P<…>), no flags inside: what Python alone understands is not used."""
    text = json.dumps(SCHEMA)
    assert not any(foreign in text for foreign in ("\\\\Z", "\\\\A", "(?P", "(?i", "(?<"))
