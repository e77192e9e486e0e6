"""JWS envelopes: their one form, and the forms that other readers take."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pipeline.trust import jws, notary_envelope
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import SCHEME, SIGNING_TIME, X509
from tests.trust.notary import ARTIFACT, SUBJECT, TIME, envelope, headers, rfc3339, signer, url
from tests.trust.test_notation import verify
from tests.trust.vectors import NOTATION, needs_vectors

DATA = envelope("jws", signer())
DOCUMENT: dict[str, Any] = json.loads(DATA)
CERTIFICATES = DOCUMENT["header"]["x5c"]


def changed(**fields: Any) -> bytes:
    return json.dumps({**DOCUMENT, **fields}).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in DOCUMENT.items() if name != field}).encode()


FORMS = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[" + DATA + b"]",
    "the compact form": ".".join(DOCUMENT[each] for each in ("protected", "payload", "signature")).encode(),
    "the general form": json.dumps(
        {"payload": DOCUMENT["payload"], "signatures": [without("payload").decode()]}
    ).encode(),
    "both forms": changed(signatures=[{each: DOCUMENT[each] for each in ("protected", "header", "signature")}]),
    "several signatures": changed(signatures=[]),
    "a payload elsewhere": without("payload"),
    "a null payload": changed(payload=None),
    "an empty payload": changed(payload=""),
    "no protected header": without("protected"),
    "an empty protected header": changed(protected=""),
    "a protected header that is an object": changed(protected=headers(signer())),
    "a protected header that is a list": changed(protected=url(b"[]")),
    "no unprotected header": without("header"),
    "a null unprotected header": changed(header=None),
    "a list as unprotected header": changed(header=[]),
    "no signature": without("signature"),
    "an empty signature": changed(signature=""),
    "a list of signatures": changed(signature=[DOCUMENT["signature"]]),
    "a signature in ASN.1": changed(signature=url(b"\x30\x06\2\1\1\2\1\1")),
    "a short signature": changed(signature=DOCUMENT["signature"][:-4]),
    "zeros as signature": changed(signature=url(bytes(64))),
    "a field more": changed(more=1),
    "a field twice": DATA[:-1] + b', "payload": ' + json.dumps(DOCUMENT["payload"]).encode() + b"}",
    "something behind it": DATA + b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + DATA,
    "UTF-16": DATA.decode().encode("utf-16"),
    "a depth of thousands": b'{"a":' * 100_000,
    "a number of many digits": b'{"payload": ' + b"9" * 100_000 + b"}",
    "padding": changed(payload=DOCUMENT["payload"] + "=" * (-len(DOCUMENT["payload"]) % 4 or 4)),
    "a line end in base64url": changed(protected=DOCUMENT["protected"][:8] + "\n" + DOCUMENT["protected"][8:]),
    "a blank in base64url": changed(payload=" " + DOCUMENT["payload"]),
    "the other alphabet": changed(signature="+" + DOCUMENT["signature"][1:]),
    "letters of no alphabet": changed(payload="é" + DOCUMENT["payload"][1:]),
    "certificates in base64url": changed(header={"x5c": [url(base64.b64decode(each)) for each in CERTIFICATES]}),
    "certificates with line ends": changed(header={"x5c": [each[:64] + "\n" + each[64:] for each in CERTIFICATES]}),
}


@pytest.mark.parametrize("name", FORMS)
def test_another_form_of_a_jws_is_refused(name: str) -> None:
    assert verify("jws", DATA).signer.identity == SUBJECT
    with pytest.raises(SignatureRefusal):
        verify("jws", FORMS[name])


@pytest.mark.parametrize("algorithm", ["HS256", "none", "None", "NONE", "nOnE", ""])
def test_the_public_key_is_no_secret_of_hmac(algorithm: str) -> None:
    """RFC 8725, 2.1: whoever has the public key could else make signatures."""
    public = signer().key.public_key()
    for secret in (public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), signer().chain[0]):
        protected = url(json.dumps({**headers(signer()), "alg": algorithm, SIGNING_TIME: rfc3339(TIME)}).encode())
        mac = hmac.digest(secret, f"{protected}.{DOCUMENT['payload']}".encode(), hashlib.sha256)
        for signature in (url(mac), url(mac + mac), ""):
            with pytest.raises(SignatureRefusal):
                verify("jws", changed(protected=protected, signature=signature))


@pytest.mark.parametrize("name", sorted(jws.REGISTERED))
def test_a_header_of_jws_itself_is_not_critical(name: str) -> None:
    """RFC 7515, 4.1.11; b64 (RFC 7797) would change what is signed."""
    values = {"alg": "ES256", "b64": False, "cty": "application/vnd.cncf.notary.payload.v1+json"}
    with pytest.raises(SignatureRefusal):
        data = {**headers(signer()), name: values.get(name, "x"), "crit": [SCHEME, name], SIGNING_TIME: rfc3339(TIME)}
        jws.parse(changed(protected=url(json.dumps(data).encode())))


def test_keys_that_the_protected_header_brings_are_not_believed() -> None:
    other = signer(subject="CN=other,O=acme,ST=WA,C=US")
    keys = {"jwk": {"kty": "EC"}, "jku": "https://x", "x5u": "https://x", "kid": "../../key"}
    assert verify("jws", envelope("jws", signer(), protected=keys)).signer.identity == SUBJECT
    certificates = [base64.b64encode(each).decode() for each in other.chain]
    with pytest.raises(SignatureRefusal, match="stands in the unprotected header"):
        verify("jws", envelope("jws", signer(), protected={"x5c": certificates}))


@pytest.mark.parametrize(("text", "seconds"), [
    ("1970-01-01T00:00:00Z", 0), ("2022-08-29T13:50:00Z", 1661781000), ("2023-03-14T16:10:02+08:00", 1678781402),
    ("2023-01-11T10:02:54-08:00", 1673460174), ("2022-08-29T13:50:00.999999999Z", 1661781000),
    ("0001-01-01T00:00:00+14:00", -62135647200), ("9999-12-31T23:59:59-12:00", 253402343999),
])  # fmt: skip
def test_times_of_rfc_3339_are_read(text: str, seconds: int) -> None:
    data = {**headers(signer()), SIGNING_TIME: text}
    assert jws.parse(changed(protected=url(json.dumps(data).encode()))).time == seconds


@pytest.mark.parametrize("text", [
    "2022-08-29", "2022-08-29T13:50Z", "2022-08-29T13:50:00", "2022-08-29t13:50:00z", "2022-08-29T13:50:60Z",
    "٢٠٢٢-08-29T13:50:00Z",
    "2022-W35-1T13:50:00Z", "20220829T135000Z", "2022-08-29T13:50:00,5Z", "2022-08-29T13:50:00+25:00",
    "2022-08-29T13:50:00Z\n", "0000-01-01T00:00:00Z",
])  # fmt: skip
def test_other_times_are_refused(text: str) -> None:
    data = {**headers(signer()), SIGNING_TIME: text}
    with pytest.raises(SignatureRefusal, match="not a time"):
        jws.parse(changed(protected=url(json.dumps(data).encode())))


@given(st.binary(max_size=100))
def test_bytes_have_one_form_in_base64url(data: bytes) -> None:
    if data:
        assert jws.base64url(url(data)) == data
    with pytest.raises(SignatureRefusal):
        jws.base64url(url(data) + "=")


@pytest.mark.parametrize("text", ["AB", "AAB", "A", "AA==", "A A", "AA\n", "_-_-=", "/+/+", "ÄÄÄÄ", "", None, 5, b"AA"])
def test_other_forms_are_refused(text: object) -> None:
    """AB and AAB have bits that are left over."""
    with pytest.raises(SignatureRefusal):
        jws.base64url(text)


def test_an_envelope_that_is_too_large_is_refused() -> None:
    with pytest.raises(SignatureRefusal, match=f"more than {notary_envelope.LARGEST}"):
        verify("jws", DATA + b" " * notary_envelope.LARGEST)


@needs_vectors
def test_the_headers_of_notation_core_go_s_conformance_test_are_read_as_it_reads_them() -> None:
    """signature/jws/conformance_test.go: these are the attributes; certificates and signature are made for each run.

    notation-go refuses such a signature where no plug-in understands signedCritKey1 (verifier.go, processSignature).
    """
    vector = json.loads((NOTATION / "jws-conformance.json").read_bytes())
    read = jws.parse(changed(payload=vector["payload"], protected=vector["protected"]))
    assert read.payload == b'{"key":"hello JWS"}' and read.algorithm == "ES256" and read.scheme == X509
    assert (
        rfc3339(read.time) == "2022-08-29T13:50:00Z"
        and read.content_type == "application/vnd.cncf.notary.payload.v1+json"
    )
    assert read.expiry is not None and rfc3339(read.expiry) == "2099-08-30T13:50:00Z"
    assert read.unknown == ("signedCritKey1",) and read.timestamp is None
    with pytest.raises(SignatureRefusal, match="not understood: signedCritKey1"):
        verify("jws", changed(payload=vector["payload"], protected=vector["protected"]), artifact=ARTIFACT)
