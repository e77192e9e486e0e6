"""Hostile bundles: bytes flipped, fields dropped and retyped, floods. All are refused, by our own error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.trust import bundle
from pipeline.trust.error import SignatureRefusal
from tests.trust import sigstore
from tests.trust.vectors import SIGSTORE, needs_vectors

REKOR1, REKOR2 = SIGSTORE / "intoto-with-custom-trust-root", SIGSTORE / "rekor2-checkpoint-cosigned"
ENVELOPE, MANAGED = SIGSTORE / "rekor2-dsse-happy-path", SIGSTORE / "managed-key-and-trusted-root"
CASES = (REKOR1, REKOR2, ENVELOPE, MANAGED)
SAMPLE = 61
"""Of so many bytes, the fast tests flip one; a prime number, so that all columns of base64 have their turn."""
FLIPS = (0x01, 0x80)
"""Bits that are flipped: the lowest, which turns a letter into another, and one that makes it no ASCII."""
VALUES = (None, True, False, 0, -1, 1 << 64, 1.5, "", "x", "AA==", [], [[]], {}, {"x": 1}, [None])
"""Values of other types, and of the same with another content, that take the place of each field's."""
ENTRY, MATERIAL = "verificationMaterial.tlogEntries.0", "verificationMaterial"
UNUSED = {
    REKOR1: {
        f"{MATERIAL}.timestampVerificationData": "the promise proves a time, too",
        f"{MATERIAL}.timestampVerificationData.rfc3161Timestamps": "the promise proves a time, too",
        f"{MATERIAL}.timestampVerificationData.rfc3161Timestamps.0": "the promise proves a time, too",
        f"{ENTRY}.inclusionProof.hashes": "it is empty: the entry is the whole tree",
        f"{ENTRY}.inclusionPromise": "the time stamp proves a time, too",
        "dsseEnvelope.signatures.0.keyid": "the certificate decides, not a hint",
    },
    REKOR2: {"messageSignature.messageDigest": "the artifact is at hand"},
    ENVELOPE: {},
    MANAGED: {
        f"{MATERIAL}.publicKey.hint": "the rule decides which key, not a hint",
        f"{ENTRY}.inclusionPromise": "a managed key needs no time",
        "messageSignature.messageDigest": "the artifact is at hand",
    },
}
"""Fields of each case that may be dropped, or be others -> why."""


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the paths of all fields and entries of a document."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from fields(value[key], (*path, key))


def edited(document: Any, path: tuple[Any, ...], *values: object) -> bytes:
    """Returns the document with another value at `path`, or without the field."""
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    if values:
        place[path[-1]] = values[0]
    else:
        del place[path[-1]]
    return json.dumps(document).encode()


def is_number(document: Any, path: tuple[Any, ...], value: object) -> bool:
    """Returns whether `value` is the integer at `path`, as a number (ProtoJSON takes both forms)."""
    return type(value) is int and edited(document, path, str(value)) == json.dumps(document).encode()


def accepted(case: Path, data: bytes) -> bool:
    """Returns whether a bundle is accepted; any other exception than a refusal is a failure."""
    try:
        sigstore.verify(case, data)
    except SignatureRefusal as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        return False
    return True


def check_flips(case: Path, step: int) -> None:
    data = sigstore.data(case)
    assert accepted(case, data)
    for number, at in enumerate(range(0, len(data), step)):
        flipped = bytearray(data)
        flipped[at] ^= FLIPS[number % len(FLIPS)] if step > 1 else FLIPS[0]
        assert not accepted(case, bytes(flipped)) or is_unused(case, bytes(flipped)), (at, data[at - 20 : at + 20])


def is_unused(case: Path, data: bytes) -> bool:
    """Returns whether what differs from the bundle of `case` are unused fields alone."""
    return used(case, json.loads(sigstore.data(case))) == used(case, json.loads(data))


def used(case: Path, value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Returns a document without the unused fields of `case`, without null, and without lines of witnesses."""
    if isinstance(value, list):
        return [used(case, each, (*path, number)) for number, each in enumerate(value)]
    if path[-1:] == ("envelope",) and isinstance(value, str):
        return [line for line in value.split("\n") if not line.startswith("— ") or "rekor" in line]
    if not isinstance(value, dict):
        return value
    paths = {key: (*path, key) for key in value if name((*path, key)) not in UNUSED[case] and value[key] is not None}
    return {key: used(case, value[key], place) for key, place in paths.items()}


def name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_flipped_byte_is_refused(case: Path) -> None:
    check_flips(case, SAMPLE)


@needs_vectors
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_flipped_byte_is_refused(case: Path) -> None:
    check_flips(case, 1)


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_dropped_field_is_refused_unless_it_is_unused(case: Path) -> None:
    document = json.loads(sigstore.data(case))
    taken = {name(path) for path in fields(document) if accepted(case, edited(document, path))}
    assert taken <= UNUSED[case].keys(), taken


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_retyped_field_is_refused_unless_it_is_unused(case: Path) -> None:
    document = json.loads(sigstore.data(case))
    for number, path in enumerate(fields(document)):
        for value in VALUES[number % 3 :: 3]:
            data = edited(document, path, value)
            right = is_number(document, path, value) or is_unused(case, data)
            assert right or not accepted(case, data), (name(path), value)


@needs_vectors
@pytest.mark.parametrize("path", ["", MATERIAL, ENTRY, f"{ENTRY}.inclusionProof", "messageSignature"])
def test_an_unknown_field_is_refused(path: str) -> None:
    document = json.loads(sigstore.data(REKOR2))
    steps = tuple(int(step) if step.isdigit() else step for step in path.split(".") if step)
    with pytest.raises(SignatureRefusal, match="unknown field 'extra'"):
        sigstore.verify(REKOR2, edited(document, (*steps, "extra"), 1))


@needs_vectors
def test_a_key_that_is_there_twice_is_refused() -> None:
    data = sigstore.data(REKOR2).replace(b'{"mediaType"', b'{"mediaType": "x", "mediaType"', 1)
    with pytest.raises(SignatureRefusal, match="comes twice"):
        sigstore.verify(REKOR2, data)


@pytest.mark.parametrize("unsafe", [
    b"", b"[]", b"null", b"\xff", b"{" * 100_000, b"[" * 100_000, b'{"a":' * 100_000, b'{"a": NaN}', b'{"a": 1e9}',
    b'{"mediaType": "\\ud800"}', b'{"mediaType": "' + b"\\" * 100_001 + b'"}', b'"' * 1_000_000, b"9" * 10_000,
    b'{"a": ' + b"9" * 10_000 + b"}",
])  # fmt: skip
def test_what_is_no_bundle_is_refused(unsafe: bytes) -> None:
    with pytest.raises(SignatureRefusal) as caught:
        bundle.verify(unsafe, None)
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


@needs_vectors
def test_floods_within_the_size_of_a_bundle_end() -> None:
    document = json.loads(sigstore.data(ENVELOPE))
    document["dsseEnvelope"]["payload"] = "A" * (bundle.LARGEST - 1_000_000)
    assert not accepted(ENVELOPE, json.dumps(document).encode())
    document = json.loads(sigstore.data(REKOR2))
    proof = document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["checkpoint"]["envelope"] += "— witness.example AAAAAAAA\n" * 50_000
    assert not accepted(REKOR2, json.dumps(document).encode())
