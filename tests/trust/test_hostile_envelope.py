"""Envelopes with each byte changed, each field dropped and retyped: refused, with the one error, whatever it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.trust import cbor, cose, jws, notation, timestamp_token
from pipeline.trust.cbor import Tag, decode, encode
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import AUTHORITY, TIMESTAMP, X509
from tests.trust import notary
from tests.trust.notary import DROP, TIME, envelope, signer, write_cose, write_jws
from tests.trust.test_notation import BOTH, verify
from tests.trust.test_notation_vectors import CA, SAMPLE, STAMPED, TEST_TIME, TSA, store
from tests.trust.vectors import NOTATION, needs_vectors

DATA = {kind: envelope(kind, signer(), expiry=TIME + 100) for kind in ("jws", "cose")}
WRITERS = {"jws": write_jws, "cose": write_cose}
STEP = 29
"""Distance of changed bytes in the fast run: a prime, so that all kinds of fields are met."""
TOKENS = [b"0", b"\x30\0", b"\x30\x80", bytes(100), b"\x30\x84\xff\xff\xff\xff", bytes(1 << 17)]
WRONG: list[Any] = [None, True, 0, -1, 2**63, "", "x", [], {}, [[]], {"x": []}]
"""Values of other types, or none that a field has."""


def flips(data: bytes, step: int) -> Iterator[tuple[int, bytes]]:
    """Yields offsets, and `data` with one bit of the byte there changed."""
    for at in range(0, len(data), step):
        for bit in (1, 0x80):
            yield at, data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def check_flips(kind: str, step: int) -> None:
    for at, data in flips(DATA[kind], step):
        with pytest.raises(SignatureRefusal):
            print(at, verify(kind, data))


@BOTH
def test_a_changed_byte_is_refused(kind: str) -> None:
    assert verify(kind, DATA[kind]).until == TIME + 99
    check_flips(kind, STEP)


@pytest.mark.slow
@BOTH
def test_each_changed_byte_is_refused(kind: str) -> None:
    check_flips(kind, 1)


@BOTH
def test_an_envelope_that_is_cut_is_refused(kind: str) -> None:
    for size in range(0, len(DATA[kind]), STEP):
        with pytest.raises(SignatureRefusal):
            verify(kind, DATA[kind][:size])


VECTORS = {
    "envelopes/ca_valid_sig_env.json": SAMPLE,
    "timestamp/jwsWithTimestamp.sig": STAMPED,
    "timestamp/coseWithTimestamp.sig": STAMPED,
}


def check_vector(name: str, step: int) -> None:
    """Checks that a changed byte is refused, or is one of the signing agent or of a certificate without use."""
    data, trusted = (NOTATION / name).read_bytes(), store(CA, *([TSA] if name.startswith("timestamp") else []))
    media_type = jws.MEDIA_TYPE if data.startswith(b"{") else cose.MEDIA_TYPE
    right = notation.verify(data, media_type, VECTORS[name], trusted, None, TEST_TIME)
    free = unused(data, notation.READERS[media_type](data).timestamp)
    for at, changed in flips(data, step):
        try:
            assert notation.verify(changed, media_type, VECTORS[name], trusted, None, TEST_TIME) == right
            assert any(at in part for part in free), (name, at)
        except SignatureRefusal:
            continue


def unused(data: bytes, token: bytes | None) -> list[range]:
    """Returns the offsets of what nothing verifies: the signing agent with blanks around it; and, in time stamps of the
    vectors, a third certificate, which leads to another root than that of the trust store.
    """
    start = data.lower().index(b"io.cncf.notary.signingagent")
    parts = [range(start - 8, start + 52)]
    if token is None:
        return parts
    last = timestamp_token.parse(token).certificates[2]
    first = token.index(last)
    if token in data:
        return [*parts, range(data.index(token) + first, data.index(token) + first + len(last))]
    start = data.index(base64.b64encode(token))
    return [*parts, range(start + first * 4 // 3, start + (first + len(last)) * 4 // 3 + 2)]


@needs_vectors
@pytest.mark.parametrize("name", VECTORS)
def test_a_changed_byte_of_notation_s_own_envelopes_is_refused(name: str) -> None:
    check_vector(name, 101)


@pytest.mark.slow
@needs_vectors
@pytest.mark.parametrize("name", VECTORS)
def test_each_changed_byte_of_notation_s_own_envelopes_is_refused(name: str) -> None:
    check_vector(name, 1)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the paths of all values in objects and lists."""
    for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, name)
        yield from places(value[name], (*path, name))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Returns `value` with `new` at a path; without what is there if that is DROP."""
    copy = value.copy()
    if len(path) > 1:
        copy[path[0]] = changed(value[path[0]], path[1:], new)
    elif new is DROP:
        del copy[path[0]]
    else:
        copy[path[0]] = new
    return copy


def test_each_field_of_a_jws_dropped_or_retyped_is_refused() -> None:
    document = json.loads(DATA["jws"])
    assert len(list(places(document))) == 8
    for path in places(document):
        for new in (DROP, *WRONG):
            with pytest.raises(SignatureRefusal):
                print(path, new, verify("jws", json.dumps(changed(document, path, new)).encode()))


def test_each_element_of_a_cose_sign1_dropped_or_retyped_is_refused() -> None:
    message = decode(DATA["cose"])
    assert isinstance(message, Tag) and len(list(places(message.value))) == 8
    for path in places(message.value):
        for new in (DROP, *WRONG, b"", b"\0", Tag(1, 1), Tag(2, b"\1"), cbor.LARGEST):
            if new != {}:  # the protected header aside, which is not encoded as a map
                with pytest.raises(SignatureRefusal):
                    print(path, new, verify("cose", encode(Tag(18, changed(message.value, path, new)))))


@BOTH
@pytest.mark.parametrize("scheme", [AUTHORITY, X509])
def test_each_signed_attribute_dropped_or_retyped_is_refused_though_it_is_signed(kind: str, scheme: str) -> None:
    """Numbers aside where a time belongs, which are times."""
    by = signer()
    head = notary.headers(by, scheme, TIME + 100)
    write, trusted = WRITERS[kind], by.store("signing_authority" if scheme == AUTHORITY else "ca")
    assert verify(kind, write(by, notary.payload(), head, {"x5c": by.chain}), trusted).until
    for path in places(head):
        for new in (DROP, *WRONG):
            if path[0] in notary.TIME_NAMES and type(new) is int:
                continue
            data = write(by, notary.payload(), changed(head, path, new), {"x5c": by.chain})
            with pytest.raises(SignatureRefusal):
                print(path, new, verify(kind, data, trusted))


@BOTH
def test_each_field_of_a_payload_dropped_or_retyped_is_refused_though_it_is_signed(kind: str) -> None:
    by = signer()
    document = json.loads(notary.payload(annotations={"a": "b"}))
    write = WRITERS[kind]
    for path in places(document):
        for new in (DROP, *WRONG):
            if path[1:2] == ("annotations",) and (
                new is DROP or new == {} or (len(path) == 3 and isinstance(new, str))
            ):
                continue  # metadata: may be left out, and be any text
            with pytest.raises(SignatureRefusal):
                content = json.dumps(changed(document, path, new)).encode()
                print(path, new, verify(kind, write(by, content, notary.headers(by), {"x5c": by.chain})))


@BOTH
@given(data=st.binary(max_size=200), at=st.integers(0, 3000), length=st.integers(0, 8))
def test_other_bytes_in_an_envelope_are_refused_or_change_nothing(kind: str, data: bytes, at: int, length: int) -> None:
    whole = DATA[kind]
    at %= len(whole)
    try:
        assert verify(kind, whole[:at] + data + whole[at + length :]) == verify(kind, whole)
    except SignatureRefusal:
        return


@BOTH
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(kind: str, data: bytes) -> None:
    with pytest.raises(SignatureRefusal):
        verify(kind, data)


@BOTH
@pytest.mark.parametrize("token", TOKENS, ids=range(len(TOKENS)))
def test_a_time_stamp_that_is_none_is_refused_where_it_counts(kind: str, token: bytes) -> None:
    data = envelope(kind, signer(), unprotected={TIMESTAMP: token})
    root = notary.issue("CN=tsa", None, *notary.AUTHORITY).chain[0]
    assert verify(kind, data, signer().store()).signer.time is None
    with pytest.raises(SignatureRefusal, match="time stamp"):
        verify(kind, data, signer().store()._replace(tsa=(root,)))
