"""Envelopes and statements."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.trust import statement
from pipeline.trust.error import SignatureRefusal

SHA256, SHA512 = "a" * 64, "b" * 128


def payload(**changes: Any) -> bytes:
    subject = [{"name": "", "digest": {"sha256": SHA256}}, {"digest": {"sha512": SHA512, "gitCommit": "c" * 40}}]
    fields = {"_type": statement.TYPES[0], "subject": subject, "predicateType": statement.SIGNATURE, "predicate": {}}
    return json.dumps({**fields, **changes}).encode()


def test_the_encoding_is_that_of_the_specification() -> None:
    """Compares with the example of DSSE, protocol.md."""
    assert statement.encode("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert statement.encode("é", b"\0") == b"DSSEv1 2 \xc3\xa9 1 \0"


def test_a_statement_is_about_the_digests_of_its_subjects() -> None:
    stated = statement.parse(payload())
    assert stated == (statement.SIGNATURE, {f"sha256:{SHA256}", f"sha512:{SHA512}"})
    assert statement.parse(payload(_type=statement.TYPES[1])) == stated


@pytest.mark.parametrize("changes", [
    {"_type": "https://in-toto.io/Statement/v2"}, {"_type": None}, {"subject": []}, {"subject": {}}, {"subject": None},
    {"subject": [{"digest": {}}]}, {"subject": [{"digest": {"sha256": SHA256}}, {"digest": {"sha1": "d" * 40}}]},
    {"subject": [{"digest": {"sha256": SHA256.upper()}}]}, {"subject": [{"digest": {"sha256": 1}}]},
    {"subject": [{"name": "x"}]}, {"predicateType": ""}, {"predicateType": 1}, {"subject": [{"digest": "x"}]},
])  # fmt: skip
def test_another_statement_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SignatureRefusal, match=r"^statement: "):
        statement.parse(payload(**changes))


def test_a_flood_of_subjects_is_refused() -> None:
    with pytest.raises(SignatureRefusal, match="10001 entries: 10000 are taken"):
        statement.parse(payload(subject=[{"digest": {"sha256": SHA256}}] * (statement.SUBJECTS + 1)))
