"""Notary Project signatures, verified: right ones of every kind, and each rule broken in turn."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pipeline.trust import notation
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import (
    AUTHENTIC_TIME,
    AUTHORITY,
    EXPIRY,
    PLUGINS,
    SCHEME,
    SIGNING_TIME,
    TIMESTAMP,
    X509,
)
from pipeline.trust.notation import Verified
from pipeline.trust.trust_store import TrustStore
from tests.trust import notary
from tests.trust.notary import ARTIFACT, DROP, END, SUBJECT, TIME, envelope, signer

BOTH = pytest.mark.parametrize("kind", ["jws", "cose"])


def verify(kind: str, data: bytes, store: TrustStore | None = None, **changes: Any) -> Verified:
    options = {"artifact": ARTIFACT, "subject": SUBJECT, "time": TIME, **changes}
    return notation.verify(data, notary.MEDIA_TYPES[kind], store=store or signer().store(), **options)


@BOTH
@pytest.mark.parametrize("size", notary.ALGORITHMS)
def test_a_signature_by_a_key_of_each_kind_has_a_signer(kind: str, size: str) -> None:
    by = signer(size)
    content = notary.payload(annotations={"build": "7"})
    verified = verify(kind, envelope(kind, by, content), by.store())
    assert verified.signer.identity == SUBJECT and verified.signer.kind == "certificate"
    assert verified.signer.time is None and verified.metadata == {"build": "7"} and verified.until == END


@BOTH
def test_a_signing_authority_is_trusted_for_the_time_and_only_from_its_own_store(kind: str) -> None:
    by = signer()
    data = envelope(kind, by, scheme=AUTHORITY)
    verified = verify(kind, data, by.store("signing_authority"), time=END + 10**6)
    assert verified.signer.time == TIME and verified.until is None
    with pytest.raises(SignatureRefusal, match="trust store"):
        verify(kind, data, by.store("ca"))
    with pytest.raises(SignatureRefusal, match="trust store"):
        verify(kind, envelope(kind, by), by.store("signing_authority"))


@BOTH
def test_a_signature_expires_at_its_time_and_not_before(kind: str) -> None:
    data = envelope(kind, signer(), expiry=TIME + 10)
    assert verify(kind, data, time=TIME + 9).until == TIME + 9
    with pytest.raises(SignatureRefusal, match="expired"):
        verify(kind, data, time=TIME + 10)


@BOTH
@pytest.mark.parametrize("time", [notary.START - 1, END + 1])
def test_a_certificate_is_valid_at_the_time_of_the_verification(kind: str, time: int) -> None:
    assert verify(kind, envelope(kind, signer()), time=END).until == END
    with pytest.raises(SignatureRefusal, match="not at the signature"):
        verify(kind, envelope(kind, signer()), time=time)


@BOTH
def test_an_authority_s_word_counts_while_its_certificate_is_valid(kind: str) -> None:
    data = envelope(kind, signer(), scheme=AUTHORITY, protected={AUTHENTIC_TIME: END + 1})
    with pytest.raises(SignatureRefusal, match="not at the signature"):
        verify(kind, data, signer().store("signing_authority"))


@BOTH
@pytest.mark.parametrize(
    "artifact",
    [
        ARTIFACT._replace(digest="sha256:" + "ac" * 32),
        ARTIFACT._replace(size=482),
        ARTIFACT._replace(media_type="application/vnd.oci.image.index.v1+json"),
    ],
)
def test_a_signature_is_of_one_artifact(kind: str, artifact: notation.Artifact) -> None:
    with pytest.raises(SignatureRefusal, match="it signs"):
        verify(kind, envelope(kind, signer()), artifact=artifact)


@BOTH
@pytest.mark.parametrize(
    "content",
    [
        b"null", b"[]", b"{}", b'{"targetArtifact": null}', b"\xff", b"[" * 100_000,
        b'{"a": 1e999}', notary.payload(size=True),
        notary.payload(size=481.0), notary.payload(size="481"), notary.payload(digest=None),
        notary.payload(annotations=[]),
        notary.payload(annotations={"a": 1}), notary.payload(annotations=None), notary.payload()[:-1] + b', "more": 1}',
        notary.payload()[:-1] + b', "targetArtifact": {}}', notary.payload(annotations={"a": "\ud800"}),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_payload_is_a_descriptor(kind: str, content: bytes) -> None:
    with pytest.raises(SignatureRefusal):
        verify(kind, envelope(kind, signer(), content))


@BOTH
def test_another_signer_s_key_certificate_or_root_is_refused(kind: str) -> None:
    other = signer(subject="CN=other,O=acme,ST=WA,C=US")
    with pytest.raises(SignatureRefusal, match="signed by"):
        verify(kind, envelope(kind, other), other.store())
    with pytest.raises(SignatureRefusal, match="not one of these data"):
        verify(kind, envelope(kind, signer(), unprotected={"x5c": other.chain}))
    foreign = notary.issue(SUBJECT, notary.issue("CN=root,O=acme,ST=WA,C=US", None, *notary.AUTHORITY), *notary.LEAF)
    with pytest.raises(SignatureRefusal, match="trust store"):
        verify(kind, envelope(kind, foreign))
    with pytest.raises(SignatureRefusal, match="trust store"):
        verify(kind, envelope(kind, signer()), TrustStore((), (), ()))


HEADERS: dict[str, tuple[dict[Any, Any], str]] = {
    "no algorithm": ({"alg": DROP}, "algorithm"),
    "the algorithm none": ({"alg": "none"}, "algorithm"),
    "HMAC": ({"alg": "HS256"}, "algorithm"),
    "HMAC, as COSE has it": ({"alg": 5}, "algorithm"),
    "RSA with PKCS #1": ({"alg": "RS256"}, "algorithm"),
    "RSA with PKCS #1, as COSE has it": ({"alg": -257}, "algorithm"),
    "Edwards's curves": ({"alg": -8}, "algorithm"),
    "a list of algorithms": ({"alg": ["ES256"]}, "algorithm"),
    "a true algorithm": ({"alg": True}, "algorithm"),
    "another hash": ({"alg": "ES384"}, "the key's is ES256"),
    "another kind of key": ({"alg": "PS256"}, "the key's is ES256"),
    "no content type": ({"cty": DROP}, "a payload of type"),
    "another content type": ({"cty": "application/json"}, "a payload of type"),
    "no signing scheme": ({SCHEME: DROP}, "signing scheme"),
    "another signing scheme": ({SCHEME: "notary.x510"}, "signing scheme"),
    "a list of signing schemes": ({SCHEME: [X509]}, "signing scheme"),
    "no time": ({SIGNING_TIME: DROP}, "is missing"),
    "a null time": ({SIGNING_TIME: None}, "not a time"),
    "an untagged or short time": ({SIGNING_TIME: "2024"}, "not a time"),
    "a time in words": ({SIGNING_TIME: "2023-11-14 22:13:20Z"}, "not a time"),
    "a time that is none": ({SIGNING_TIME: "2023-02-30T00:00:00Z"}, "not a time"),
    "a time of a list": ({SIGNING_TIME: [TIME]}, "not a time"),
    "an authority's time, too": ({AUTHENTIC_TIME: TIME}, "not one of the signing scheme"),
    "an expiry that is not critical": ({EXPIRY: TIME + 5}, "has to be critical"),
    "an expiry before the time": ({EXPIRY: TIME, "crit": [SCHEME, EXPIRY]}, "before it was signed"),
    "no list of critical headers": ({"crit": DROP}, "list of critical"),
    "an empty one": ({"crit": []}, "list of critical"),
    "a text of them": ({"crit": SCHEME}, "list of critical"),
    "a critical number": ({"crit": [SCHEME, 99]}, "is not there"),
    "a critical list": ({"crit": [SCHEME, []]}, "is not there"),
    "a critical truth": ({"crit": [SCHEME, True]}, "is not there"),
    "a scheme that is not critical": ({"crit": ["x"], "x": 1}, "has to be critical"),
    "a critical header that is not there": ({"crit": [SCHEME, "x"]}, "is not there"),
    "a critical header that is not known": ({"crit": [SCHEME, "x"], "x": 1}, "not understood: x"),
    "one critical header twice": ({"crit": [SCHEME, SCHEME]}, "named twice"),
    "a critical claim of the time": ({"crit": [SCHEME, SIGNING_TIME]}, "not understood"),
    "a program that has to verify": ({PLUGINS[0]: "p", "crit": [SCHEME, PLUGINS[0]]}, "not understood"),
    "a program that may verify": ({PLUGINS[0]: "p"}, "not understood"),
}


@BOTH
@pytest.mark.parametrize("name", HEADERS)
def test_a_protected_header_that_breaks_a_rule_is_refused(kind: str, name: str) -> None:
    changes, why = HEADERS[name]
    with pytest.raises(SignatureRefusal, match=why):
        verify(kind, envelope(kind, signer(), protected=changes))


UNPROTECTED: dict[str, dict[Any, Any]] = {
    "no certificates": {"x5c": DROP},
    "an empty list of certificates": {"x5c": []},
    "one certificate without a list": {"x5c": signer().chain[0]},
    "certificates that are numbers": {"x5c": [1]},
    "certificates that are none": {"x5c": [b"0", b"1"]},
    "an empty certificate": {"x5c": [*signer().chain, b""]},
    "many certificates": {"x5c": signer().chain * 100},
    "certificates out of order": {"x5c": [signer().chain[index] for index in (0, 2, 1)]},
    "no root": {"x5c": signer().chain[:2]},
    "the root alone": {"x5c": signer().chain[2:]},
    "the signer's certificate alone": {"x5c": signer().chain[:1]},
    "a certificate twice": {"x5c": [signer().chain[0], *signer().chain]},
    "the root twice": {"x5c": [*signer().chain, signer().chain[2]]},
    "a certificate of nobody": {"x5c": [*signer().chain, notary.issue("CN=x", None, *notary.AUTHORITY).chain[0]]},
    "an algorithm": {"alg": "ES256"},
    "critical headers": {"crit": [SCHEME]},
    "a content type": {"cty": notation.PAYLOAD},
    "a signing scheme": {SCHEME: X509},
    "an expiry": {EXPIRY: TIME + 10**6},
    "an authority's time": {AUTHENTIC_TIME: TIME},
    "a program that has to verify": {PLUGINS[0]: "p"},
    "an empty time stamp": {TIMESTAMP: b""},
    "a time stamp that is a list": {TIMESTAMP: [1]},
}


@BOTH
@pytest.mark.parametrize("name", UNPROTECTED)
def test_an_unprotected_header_that_breaks_a_rule_is_refused(kind: str, name: str) -> None:
    with pytest.raises(SignatureRefusal):
        verify(kind, envelope(kind, signer(), unprotected=UNPROTECTED[name]))


@BOTH
def test_unprotected_headers_that_are_not_known_are_ignored(kind: str) -> None:
    agent = {"io.cncf.notary.signingAgent": "notation/1.0.0", "more": ["of", {"it": 1}]}
    assert verify(kind, envelope(kind, signer(), unprotected=agent)) == verify(kind, envelope(kind, signer()))


@BOTH
def test_an_envelope_of_another_format_is_refused(kind: str) -> None:
    data = envelope(kind, signer())
    other = "cose" if kind == "jws" else "jws"
    with pytest.raises(SignatureRefusal):
        verify(other, data)
    for media_type in ("", "application/json", "APPLICATION/COSE"):
        with pytest.raises(SignatureRefusal, match="are known"):
            notation.verify(data, media_type, ARTIFACT, signer().store(), SUBJECT, TIME)


def test_nothing_opens_a_socket_or_asks_for_the_time() -> None:
    """In a process of its own, in which both are faults."""
    program = """
import socket, time
from tests.trust import notary
from tests.trust.test_notation import verify
data = {kind: notary.envelope(kind, notary.signer()) for kind in ("jws", "cose")}
def fault(*_, **__): raise AssertionError
socket.socket = socket.create_connection = time.time = time.time_ns = fault
for kind in data: verify(kind, data[kind])
"""
    subprocess.run([sys.executable, "-c", program], check=True)
