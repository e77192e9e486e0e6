"""CBOR in its one form, against the examples of RFC 8949 and what is not that form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.trust import cbor
from pipeline.trust.cbor import Tag
from pipeline.trust.error import SignatureRefusal

EXAMPLES: list[tuple[str, Any]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("18ff", 255),
    ("190100", 256),
    ("1a000f4240", 1000000),
    ("1bffffffffffffffff", 2**64 - 1),
    ("20", -1),
    ("3863", -100),
    ("3903e7", -1000),
    ("3bffffffffffffffff", -(2**64)),
    ("40", b""),
    ("4401020304", b"\1\2\3\4"),
    ("60", ""),
    ("62c3bc", "ü"),
    ("64f0908591", "𐅑"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("c11a514b67b0", Tag(1, 1363896240)),
    ("d74401020304", Tag(23, b"\1\2\3\4")),
]
"""Examples of RFC 8949, appendix A."""
REFUSED = {
    "nothing": "",
    "something follows": "0000",
    "an integer that could be shorter": "1817",
    "another": "1900ff",
    "a third": "1a0000ffff",
    "a fourth": "1b00000000ffffffff",
    "a reserved length": "1c",
    "a string without end": "5f4101ff",
    "a text without end": "7f6161ff",
    "an array without end": "9f01ff",
    "a map without end": "bf0102ff",
    "a break": "ff",
    "a half float": "f93c00",
    "a float": "fa47c35000",
    "a double": "fb3ff199999999999a",
    "undefined": "f7",
    "a simple value": "f0",
    "another simple value": "f8ff",
    "a false of two bytes": "f814",
    "a text of bytes": "61ff",
    "half a surrogate": "63eda080",
    "a string longer than its document": "44010203",
    "an exabyte": "5bffffffffffffffff",
    "an array longer than its document": "9bffffffffffffffff",
    "a map longer than its document": "bbffffffffffffffff",
    "a key twice": "a201020103",
    "keys out of order": "a203040102",
    "a key of bytes": "a1410101",
    "an array as a key": "a18001",
    "a key true": "a1f501",
    "a key 1 twice, once as true": "a20102f503",
    "a tag of nothing": "c1",
    "nests of arrays": "81" * 4096 + "00",
    "nests of tags": "c1" * 4096 + "00",
    "nests of maps": "a100" * 4096 + "00",
    "many empty arrays": "998000" + "80" * 0x8000,
}
"""CBOR that is not of that form (RFC 8949, 3, 4.2.1; COSE has no other keys), hexadecimal."""


@pytest.mark.parametrize(("data", "value"), EXAMPLES, ids=[data for data, _ in EXAMPLES])
def test_an_example_of_the_rfc_is_read_and_written(data: str, value: Any) -> None:
    decoded = cbor.decode(bytes.fromhex(data))
    assert decoded == value and type(decoded) is type(value)
    assert cbor.encode(value) == bytes.fromhex(data)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_not_of_that_form_is_refused(data: str) -> None:
    with pytest.raises(SignatureRefusal, match="CBOR"):
        cbor.decode(bytes.fromhex(data))


def test_a_document_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(SignatureRefusal, match=f"more than {cbor.LARGEST} bytes"):
        cbor.decode(b"\x5a" + (cbor.LARGEST).to_bytes(4, "big") + bytes(cbor.LARGEST))


scalars = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=300) | st.booleans() | st.none()
keys = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=40)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(keys, inner, max_size=30)
        | st.builds(Tag, st.integers(0, 2**64 - 1), inner)
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    try:
        assert cbor.decode(cbor.encode(value)) == value
    except SignatureRefusal as error:
        assert "deeper" in str(error)


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_the_encoding_of_what_they_are_read_as(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except SignatureRefusal:
        return
    assert cbor.encode(value) == data
