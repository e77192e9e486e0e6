"""COSE envelopes: their one form, and others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.trust import certificate, codesigning, cose, notary_envelope
from pipeline.trust.cbor import Tag, decode, encode
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import SCHEME, SIGNING_TIME, X509
from tests.trust import notary
from tests.trust.notary import SUBJECT, TIME, envelope, signer
from tests.trust.test_notation import verify
from tests.trust.vectors import NOTATION, needs_vectors

DATA = envelope("cose", signer())
RAW, UNPROTECTED, PAYLOAD, SIGNATURE = decode(DATA)[1]  # type: ignore[index]
CHAIN = signer().chain
PROTECTED: dict[Any, Any] = decode(RAW)  # type: ignore[assignment]


def tagged(*values: Any, tag: int = cose.SIGN1) -> bytes:
    return encode(Tag(tag, [*values]))


def resigned(protected: Any) -> bytes:
    """Returns an envelope with another protected header, as encoded bytes or as a value, rightly signed."""
    raw = protected if isinstance(protected, bytes) else encode(protected)
    return tagged(raw, UNPROTECTED, PAYLOAD, notary.sign(signer().key, encode(["Signature1", raw, b"", PAYLOAD])))


FORMS = {
    "nothing": b"",
    "no tag": DATA[1:],
    "the tag of COSE_Sign": tagged(RAW, UNPROTECTED, PAYLOAD, SIGNATURE, tag=98),
    "the tag of COSE_Mac0": tagged(RAW, UNPROTECTED, PAYLOAD, SIGNATURE, tag=17),
    "a tag of several bytes": b"\xd8\x12" + DATA[1:],
    "the tag twice": b"\xd2" + DATA,
    "the tag of CBOR itself": b"\xd9\xd9\xf7" + DATA,
    "a payload elsewhere": tagged(RAW, UNPROTECTED, None, SIGNATURE),
    "a text as payload": tagged(RAW, UNPROTECTED, PAYLOAD.decode(), SIGNATURE),  # type: ignore[union-attr]
    "a fifth element": tagged(RAW, UNPROTECTED, PAYLOAD, SIGNATURE, b""),
    "three elements": tagged(RAW, UNPROTECTED, PAYLOAD),
    "a list of signatures": tagged(RAW, UNPROTECTED, PAYLOAD, [SIGNATURE]),
    "no signature": tagged(RAW, UNPROTECTED, PAYLOAD, b""),
    "a protected header that is a map": tagged(PROTECTED, UNPROTECTED, PAYLOAD, SIGNATURE),
    "an empty protected header": tagged(b"", UNPROTECTED, PAYLOAD, SIGNATURE),
    "a protected header that is a list": tagged(b"\x80", UNPROTECTED, PAYLOAD, SIGNATURE),
    "protected in unprotected": tagged(b"\xa0", {**PROTECTED, **UNPROTECTED}, PAYLOAD, SIGNATURE),  # type: ignore[dict-item]
    "an unprotected header that is bytes": tagged(RAW, encode(UNPROTECTED), PAYLOAD, SIGNATURE),
    "an indefinite array": b"\xd2\x9f" + DATA[2:] + b"\xff",
    "something behind it": DATA + b"\0",
    "zeros as signature": tagged(RAW, UNPROTECTED, PAYLOAD, bytes(64)),
    "certificates in the protected header alone": tagged(encode({**PROTECTED, 33: CHAIN}), {}, PAYLOAD, SIGNATURE),
    "a nest": b"\x81" * 100_000,
}


@pytest.mark.parametrize("name", FORMS)
def test_another_form_of_a_cose_sign1_is_refused(name: str) -> None:
    assert verify("cose", DATA).signer.identity == SUBJECT
    with pytest.raises(SignatureRefusal):
        verify("cose", FORMS[name])


HEADERS = {
    "a time without a tag": {**PROTECTED, SIGNING_TIME: b"\x1a" + TIME.to_bytes(4, "big")},
    "a time with tag 0": {**PROTECTED, SIGNING_TIME: Tag(0, "2022-08-29T13:50:00Z")},
    "a time with tag 2": {**PROTECTED, SIGNING_TIME: Tag(2, TIME.to_bytes(4, "big"))},
    "a time with tag 1 twice": {**PROTECTED, SIGNING_TIME: Tag(1, Tag(1, TIME))},
    "a true time": {**PROTECTED, SIGNING_TIME: Tag(1, True)},
    "a time before 1970": {**PROTECTED, SIGNING_TIME: Tag(1, -1)},
    "a time after 9999": {**PROTECTED, SIGNING_TIME: Tag(1, cose.LATEST + 1)},
    "a huge time": {**PROTECTED, SIGNING_TIME: Tag(1, 2**64 - 1)},
    "a tagged algorithm": {**PROTECTED, cose.ALGORITHM: Tag(1, -7)},
    "a huge algorithm": {**PROTECTED, cose.ALGORITHM: -(2**64)},
    "an algorithm as text": {**PROTECTED, cose.ALGORITHM: "ES256"},
    "a critical label": {**PROTECTED, cose.CRITICAL: [SCHEME, cose.ALGORITHM]},
    "a critical label that is negative": {**PROTECTED, -70000: 1, cose.CRITICAL: [SCHEME, -70000]},
    "a tagged critical header": {**PROTECTED, cose.CRITICAL: [SCHEME, Tag(1, 3)]},
    "a content type as number": {**PROTECTED, cose.CONTENT_TYPE: 50},
    "a scheme in bytes": {**PROTECTED, SCHEME: X509.encode()},
    "keys out of order": encode(PROTECTED)[:1] + encode(PROTECTED)[3:] + encode(PROTECTED)[1:3],
    "a key twice": b"\xa6" + encode(PROTECTED)[1:3] + encode(PROTECTED)[1:],
    "a long form of the algorithm": b"\xa5\x01\x38\x06" + encode(PROTECTED)[3:],
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_another_form_is_refused_though_it_is_signed(name: str) -> None:
    assert verify("cose", resigned(PROTECTED)).signer.identity == SUBJECT
    with pytest.raises(SignatureRefusal):
        verify("cose", resigned(HEADERS[name]))


def test_a_signature_of_another_context_is_refused() -> None:
    """RFC 9052, 4.4: a signature of COSE_Sign or with external data is none of COSE_Sign1."""
    for structure in (
        ["Signature", RAW, b"", b"", PAYLOAD],
        ["Signature1", RAW, b"x", PAYLOAD],
        ["Signature1", b"", b"", PAYLOAD],
    ):
        with pytest.raises(SignatureRefusal, match="not one of these data"):
            verify("cose", tagged(RAW, UNPROTECTED, PAYLOAD, notary.sign(signer().key, encode(structure))))


def test_an_envelope_that_is_too_large_is_refused() -> None:
    with pytest.raises(SignatureRefusal, match=f"more than {notary_envelope.LARGEST}"):
        verify("cose", DATA + bytes(notary_envelope.LARGEST))


@needs_vectors
def test_the_message_of_notation_core_go_s_conformance_test_is_read_as_it_reads_it() -> None:
    """signature/cose/conformance_test.go puts certificates and a signature of its own into it, and verifies that.

    notation-go refuses such a signature where no plug-in understands signedCritKey1 (verifier.go, processSignature).
    """
    vector = json.loads((NOTATION / "cose-conformance.json").read_bytes())
    output = bytes.fromhex(vector["expectedOutput"]["cborHex"])
    message = decode(output)
    assert encode(message) == output and isinstance(message, Tag)
    raw, unprotected, payload, _ = message.value  # type: ignore[misc,assignment]
    assert raw == bytes.fromhex(vector["protectedHeaders"]["cborHex"])
    assert encode(unprotected) == bytes.fromhex(vector["unprotectedHeaders"]["cborHex"])
    by = signer("3072")
    signature = notary.sign(by.key, encode(["Signature1", raw, b"", payload]))
    data = tagged(raw, {**unprotected, cose.X5CHAIN: by.chain}, payload, signature)
    read = cose.parse(data)
    codesigning.verify(certificate.parse(read.chain[0]), read.signature, read.signed)
    assert read.payload.hex() == vector["payload"].lower() and read.algorithm == "PS384"
    assert (read.time, read.expiry, read.scheme) == (vector["signingTime"], vector["expiry"], X509)
    assert read.unknown == ("signedCritKey1",) and read.content_type == "application/vnd.cncf.notary.payload.v1+json"
    with pytest.raises(SignatureRefusal, match="not understood: signedCritKey1"):
        verify("cose", data, by.store())
