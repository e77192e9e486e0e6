"""YAML's traps: each is named for what it is, at its place."""
# ruff: noqa: E501  # tables are read row by row

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language import document
from pipeline.language.document import MAX_BYTES, MAX_DEPTH, Mapping, Scalar, Sequence, merge, parse
from pipeline.language.problem import Problems
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import kind


def simple(node: document.Node | None) -> object:
    """A document as plain values; scalars by YAML's rules."""
    if isinstance(node, Scalar):
        return document.value(node)
    if isinstance(node, Sequence):
        return [simple(item) for item in node.items]
    assert isinstance(node, Mapping)
    return {simple(key): simple(value) for key, value in node.pairs}


def message(text: str | bytes) -> str:
    with pytest.raises(Problems) as caught:
        parse(text.encode() if isinstance(text, str) else text, "a.yml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("NO", "NO"),
        ("true", True), ("True", True), ("TRUE", True), ("false", False), ("tRue", "tRue"),
        ("", None), ("~", None), ("null", None), ("Null", None), ("nULL", "nULL"), ("nil", "nil"),
        ("0644", 420), ("644", 644), ("0o644", 420), ("0x1f", 31), ("0b101", 5), ("-7", -7), ("+7", 7), ("1_000", 1000),
        ("0", 0), ("-0644", -420), ("089", 89.0), ("22:22", "22:22"), ("190:20:30", "190:20:30"), ("1e3", 1000.0),
        ("1.5", 1.5), (".5", 0.5), ("-.inf", float("-inf")), ("1.2.3", "1.2.3"), ("2001-12-14", "2001-12-14"),
        ("'no'", "no"), ('"true"', "true"), ("'0644'", "0644"), ("'@reboot root /bin/x'", "@reboot root /bin/x"),
        ("!!str 0644", "0644"), ("!!str true", "true"), ("!!int '12'", 12), ("!!float 1", 1),
        ("=", "="), ("<", "<"), ("null x", "null x"), ("3.20", 3.2), ("+", "+"),
    ],
)  # fmt: skip
def test_a_scalar_means_what_yaml_1_2_says(text: str, meaning: object) -> None:
    node = parse(f"- {text}".encode(), "a.yml")
    assert simple(node) == [meaning]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"\xef\xbb\xbfinit: []", "a.yml:1:1: the file begins with a byte order mark (BOM) (save it as UTF-8 without BOM)"),
        (b"\xff\xfei\x00", "a.yml:1:1: the file begins with a byte order mark"),
        (b"init:\n  - caf\xe9\n", "a.yml:2:8: the file is not UTF-8"),
        ("init:\n\t- a\n", "a.yml:2:1: a tab indents this line (YAML is indented with spaces only)"),
        ("kernel:\n  image: a\n\tcmdline: b\n", "a.yml:3:1: a tab indents this line"),
        ("init: []\n---\ninit: []\n", "a.yml:2:1: a second document starts here (a file contains one spec: remove this '---')"),
        ("init: &a [*a]\n", "a.yml:1:11: the alias *a is inside its own anchor"),
        ("init: *a\n", 'the alias *a has no anchor &a before it (a string that starts with * needs quotes: "*a")'),
        ("init: !!python/object:os.system []\n", "a.yml:1:7: the tag 'tag:yaml.org,2002:python/object:os.system' is not supported"),
        ("init: !mine {}\n", "a.yml:1:7: the tag '!mine' is not supported (remove it"),
        ("init: [a\n", "a.yml:2:1: invalid YAML: "),
        ("init: 'a\n", "invalid YAML: "),
        ("a: b: c\n", "a.yml:1:5: invalid YAML: mapping values are not allowed in this context (a string that contains a colon"),
        ("a: @b\n", "a.yml:1:4: invalid YAML: found character that cannot start any token"),
        ("a: @b\n", "(a string that starts with @ needs quotes)"),
        ("init: \x07\n", "a.yml:1:7: the character '\\x07' is not allowed in YAML"),
        ("[" * (MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} levels deep"),
        ("[" * 100_000, f"a.yml:1:{MAX_DEPTH + 1}: nested more than {MAX_DEPTH} levels deep"),
        ("{a: " * 100_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("- " * 100_000, f"nested more than {MAX_DEPTH} levels deep"),
        (b"#" * (MAX_BYTES + 1), "a.yml:1:1: the file has 16777217 bytes (at most 16 MiB)"),
        ("@reboot", "invalid YAML: found character that cannot start any token"),
    ],
)  # fmt: skip
def test_a_trap_is_named_at_its_place(text: str | bytes, complaint: str) -> None:
    assert complaint in message(text)


def test_anchors_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join(f'*a{n - 1}' for _ in range(10))}]" for n in range(1, 12)]
    node = parse("\n".join(lines).encode(), "bomb.yml")
    assert node is not None

    nested: object = str
    for _ in range(12):
        nested = tuple[nested, ...]  # type: ignore[valid-type]
    assert isinstance(node, Mapping)
    with pytest.raises(Problems, match="aliases expand this to more than 200000 values"):
        Reader().read(kind(nested), node.pairs[-1][1], ())


def test_merge_keys_that_explode_are_refused() -> None:
    lines = ["m0: &m0 {k: v}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join(f'*m{n - 1}' for _ in range(10))}]}}" for n in range(1, 12)]
    node = parse("\n".join(lines).encode(), "bomb.yml")
    assert isinstance(node, Mapping)
    with pytest.raises(Problems, match="aliases expand this to more than 200000 values"):
        Reader().pairs(node.pairs[-1][1], ())


def test_merge_keys_give_what_is_not_said() -> None:
    node = parse(b"a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], z: 5, x: 6}\n", "a.yml")
    assert isinstance(node, Mapping)
    pairs = Reader().pairs(node.pairs[2][1], ())
    assert {name: simple(value) for name, _, value in pairs} == {"x": 6, "y": 2, "z": 5}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3\n", "a.yml:3:1: duplicate key 'a' (first in line 1)"),
        ("1: a\n", 'a.yml:1:1: a key must be a string, not the number 1 (write "1")'),
        ("true: a\n", 'a.yml:1:1: a key must be a string, not the boolean true (write "true")'),
        ("~: a\n", "a key must be a string, not nothing (null)"),
        ("[a]: b\n", "a key must be a string, not a list"),
        ("? {a: b}\n: c\n", "a key must be a string, not a mapping"),
        ("!!int 1: a\n", "a key must be a string"),
    ],
)
def test_keys_are_texts_and_stand_once(text: str, complaint: str) -> None:
    node, reader = parse(text.encode(), "a.yml"), Reader()
    assert node is not None
    reader.pairs(node, ())
    assert complaint in str(Problems(reader.problems))


def test_what_is_no_mapping_has_no_pairs() -> None:
    node = parse(b"[a]", "a.yml")
    assert node is not None
    with pytest.raises(InvalidValue):
        Reader().pairs(node, ())


def test_an_empty_document_is_none() -> None:
    assert parse(b"", "a.yml") is None
    assert parse(b"# nothing\n", "a.yml") is None


words = st.text("abc", min_size=1, max_size=3)
options = st.dictionaries(words, st.just("") | words | st.lists(words, max_size=2), max_size=3)
specs = st.fixed_dictionaries({}, optional={"list": st.lists(words, max_size=3), "mapping": options, "other": options})
"""Documents whose sections are of one type each; that is checked file by file, before any are merged."""


def node_of(value: object) -> document.Node:
    node = parse(json.dumps(value).encode(), "a.yml")
    assert node is not None
    return node


@given(specs, specs, specs)
def test_merging_is_associative(first: object, second: object, third: object) -> None:
    one, two, three = node_of(first), node_of(second), node_of(third)
    assert simple(merge(merge(one, two), three)) == simple(merge(one, merge(two, three)))


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_the_answer_is_a_node_or_problems(data: bytes) -> None:
    try:
        parse(data, "a.yml")
    except Problems as problems:
        assert problems.problems and all(
            element.place.line >= 1 and element.place.column >= 1 for element in problems.problems
        )


@given(st.text("{}[]&*!|>'\"%@`:-?, \n\ta0<#", max_size=60))
def test_whatever_the_text_is_the_answer_is_a_node_or_problems(text: str) -> None:
    try:
        parse(text.encode(), "a.yml")
    except Problems as problems:
        assert problems.problems
