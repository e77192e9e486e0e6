"""JSON, read strictly: each reader of a field, and documents that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.trust import document
from pipeline.trust.document import Object
from pipeline.trust.error import SignatureRefusal

FIELDS = Object(
    {"text": "x", "blob": "AA==", "number": 7, "digits": "7", "null": None, "list": [{}], "in": {}}, "place"
)


def test_fields_of_the_right_type_are_read() -> None:
    assert FIELDS.text("text") == "x" and FIELDS.blob("blob") == b"\0"
    assert FIELDS.integer("number") == FIELDS.integer("digits") == 7
    assert FIELDS.objects("list", 1)[0].path == "place.list[0]" and FIELDS.objects("null", 1) == []
    assert FIELDS.object("in").path == "place.in" and FIELDS.has("in") and not FIELDS.has("null")


@pytest.mark.parametrize("value", [None, True, 0, 1.0, "", [], {}, "\x00", -1, 1 << 63, "01", "+1", "1 ", "٧", "1_0"])
def test_fields_of_another_type_are_refused(value: Any) -> None:
    fields = Object({"field": value}, "place")
    readers = {"text": fields.text, "blob": fields.blob, "integer": fields.integer, "object": fields.object}
    right = {"text": isinstance(value, str) and value, "integer": value == 0, "object": value == {}}
    right["integer"] = type(value) is int and value == 0
    for name, read in readers.items():
        if not right.get(name):
            with pytest.raises(SignatureRefusal, match=r"^place\.field "):
                read("field")


@given(st.binary(min_size=1))
def test_base64_comes_back(data: bytes) -> None:
    import base64

    text = base64.b64encode(data).decode()
    assert document.decode_base64(text, "it") == data
    for wrong in (f"{text}\n", f" {text}", text + "=", text.rstrip("=") if "=" in text else f"{text}A", f"{text}é"):
        with pytest.raises(SignatureRefusal, match="it is not base64"):
            document.decode_base64(wrong, "it")


@given(
    st.recursive(
        st.integers() | st.text() | st.none(), lambda values: st.lists(values) | st.dictionaries(st.text(), values)
    )
)
def test_any_document_is_read_or_refused(value: Any) -> None:
    data = json.dumps({"value": value}).encode()
    try:
        assert document.parse(data, len(data)).fields == {"value": value}
    except SignatureRefusal as error:
        assert "deep" in str(error)


@pytest.mark.parametrize("depth", [document.DEPTH, document.DEPTH + 1, 100_000])
def test_depth_has_a_limit(depth: int) -> None:
    data = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
    if depth <= document.DEPTH:
        assert document.parse(data, len(data))
    else:
        with pytest.raises(SignatureRefusal, match="deep"):
            document.parse(data, len(data))


def test_a_limit_is_of_bytes() -> None:
    with pytest.raises(SignatureRefusal, match="thing of more than 1 bytes"):
        document.parse(b"{}", 1, "thing")
