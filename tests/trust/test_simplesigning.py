"""cosign's simple signing: by keys and keyless, with the evidence in annotations; and each part of it changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.trust import keys, root, simplesigning
from pipeline.trust.bundle import Verification
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.simplesigning import CERTIFICATE, LOG_ENTRY, SIGNATURE, TIMESTAMP, TYPE
from tests.trust import instance
from tests.trust.instance import IDENTITY, ISSUER, public, text
from tests.trust.notary import TIME, new_key

DIGEST = "sha256:" + "ab" * 32
KEY, OTHER = new_key("P-256", 1), new_key("P-256", 2)
ROOT = root.parse(instance.trusted_root())
CRITICAL = {
    "identity": {"docker-reference": "ghcr.io/acme/app"},
    "image": {"docker-manifest-digest": DIGEST},
    "type": TYPE,
}


def payload(optional: Any = None, **critical: Any) -> bytes:
    return json.dumps({"critical": {**CRITICAL, **critical}, "optional": optional}).encode()


def sign(key: Any, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def keyed(data: bytes, key: Any = KEY, **more: str) -> dict[str, str]:
    return {SIGNATURE: text(sign(key, data)), **more}


def keyless(data: bytes, **options: Any) -> dict[str, str]:
    """Returns the annotations of a keyless signature."""
    certificate = instance.certificate(KEY, **options).public_bytes(Encoding.PEM)
    signature = sign(KEY, data)
    log_entry = instance.entry(data, signature, certificate)
    return {SIGNATURE: text(signature), CERTIFICATE: certificate.decode(), LOG_ENTRY: json.dumps(log_entry)}


def verify(data: bytes, annotations: dict[str, str], key: Any = KEY, trusted: root.Root | None = None) -> Verification:
    return simplesigning.verify(data, annotations, trusted, key=keys.load(public(key)))


def verify_keyless(data: bytes, annotations: dict[str, str]) -> Verification:
    return simplesigning.verify(data, annotations, ROOT)


@pytest.mark.parametrize(
    "key", [KEY, new_key("2048"), new_key("4096"), ed25519.Ed25519PrivateKey.generate()], ids=range(4)
)
def test_a_signature_by_a_key_names_the_digest_of_a_manifest(key: Any) -> None:
    for optional in (None, {}, {"creator": "me", "timestamp": 1458239713}):
        data = payload(optional)
        verified = verify(data, keyed(data, key), key)
        assert verified.digests == {DIGEST} and verified.signer.kind == "key"
        assert verified.signer.identity == keys.digest(keys.load(public(key)))
    with pytest.raises(SignatureRefusal, match="not one of these data"):
        verify(payload(), keyed(data, key), key)


def test_the_name_in_a_payload_is_not_believed() -> None:
    data = payload(identity={"docker-reference": "ghcr.io/somebody/else"})
    assert verify(data, keyed(data)) == verify(payload(), keyed(payload()))


def test_a_keyless_signature_has_an_identity_and_the_log_s_time() -> None:
    verified = verify_keyless(payload(), keyless(payload()))
    assert (verified.signer.identity, verified.signer.issuer, verified.signer.time) == (IDENTITY, ISSUER, TIME)
    assert verified.signer.log_index == 7 and verified.digests == {DIGEST}


def test_a_signature_by_a_key_is_in_the_log_if_there_is_a_root() -> None:
    data = payload()
    log_entry = json.dumps(instance.entry(data, (signature := sign(KEY, data)), public(KEY, Encoding.PEM)))
    annotations = {SIGNATURE: text(signature), LOG_ENTRY: log_entry}
    assert verify(data, annotations, trusted=ROOT).signer.time == TIME
    assert verify(data, {**annotations, CERTIFICATE: "of nobody"}, trusted=ROOT).signer.kind == "key"
    with pytest.raises(SignatureRefusal, match="no log has it"):
        verify(data, {SIGNATURE: text(signature)}, trusted=ROOT)
    with pytest.raises(SignatureRefusal):
        verify(data, keyed(data, **{LOG_ENTRY: log_entry}), trusted=ROOT)


PAYLOADS = {
    "nothing": b"",
    "no object": b"[]",
    "no critical part": b'{"optional": {}}',
    "another part": payload()[:-1] + b', "more": {}}',
    "the critical part twice": payload()[:-1] + b', "critical": {}}',
    "an optional part that is a list": payload([]),
    "a critical part that is not known": payload(more=1),
    "no type": payload(type=None),
    "another type": payload(type="atomic container signature"),
    "a type with more": payload(type=TYPE + " "),
    "no image": payload(image=None),
    "an image that is a text": payload(image=DIGEST),
    "no digest": payload(image={}),
    "an empty digest": payload(image={"docker-manifest-digest": ""}),
    "a digest that is none": payload(image={"docker-manifest-digest": "sha256:ab"}),
    "a list of digests": payload(image={"docker-manifest-digest": [DIGEST]}),
    "another key of the digest": payload(image={"Docker-manifest-digest": DIGEST}),
    "more of an image": payload(image={"docker-manifest-digest": DIGEST, "tag": "x"}),
    "no identity": payload(identity=None),
    "more of an identity": payload(identity={"docker-reference": "x", "more": "y"}),
    "many bytes": payload({"x": "y" * simplesigning.LARGEST}),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_of_another_form_is_refused_though_it_is_signed(name: str) -> None:
    with pytest.raises(SignatureRefusal, match=r"^simple signing: "):
        verify(PAYLOADS[name], keyed(PAYLOADS[name]))


ANOTHER_S = pytest.param(text(sign(OTHER, payload())), id="another's")


@pytest.mark.parametrize("signature", [None, "", "x", "AA", "AA==\n", " AA==", text(bytes(64)), ANOTHER_S, 5, ["AA=="]])
def test_a_signature_that_is_none_or_another_s_is_refused(signature: Any) -> None:
    for trusted in (None, ROOT):
        with pytest.raises(SignatureRefusal):
            verify(payload(), {SIGNATURE: signature}, trusted=trusted)
    with pytest.raises(SignatureRefusal):
        verify(payload(), {})
    with pytest.raises(SignatureRefusal):
        verify_keyless(payload(), {**keyless(payload()), SIGNATURE: signature})


@pytest.mark.parametrize("curve", ["P-384", "P-521"])
def test_a_key_whose_hash_is_another_is_refused(curve: str) -> None:
    """SIGNATURE_SPEC.md, "Hashing Algorithms": it is SHA-256."""
    key = new_key(curve, 3)
    with pytest.raises(SignatureRefusal, match="its hash is SHA-256"):
        verify(payload(), keyed(payload(), key), key)


def test_evidence_of_another_signature_is_refused() -> None:
    data, other = payload(), payload({"a": "b"})
    right, wrong = keyless(data), keyless(other)
    for name in (SIGNATURE, CERTIFICATE, LOG_ENTRY):
        with pytest.raises(SignatureRefusal):
            verify_keyless(data, {**right, name: wrong[name]})
        with pytest.raises(SignatureRefusal):
            verify_keyless(data, {each: value for each, value in right.items() if each != name})
    with pytest.raises(SignatureRefusal):
        verify_keyless(other, right)
    with pytest.raises(SignatureRefusal, match="certificate timestamp"):
        verify_keyless(data, keyless(data, with_sct=False))
    with pytest.raises(SignatureRefusal, match="no log has it"):
        simplesigning.verify(data, right, None)


LOG_ENTRIES: dict[str, Any] = {
    "no JSON": "{",
    "a list": "[]",
    "nothing in it": "{}",
    "null": "null",
    "another field": {"more": 1},
    "no payload": {"Payload": None},
    "no promise": {"SignedEntryTimestamp": None},
    "an empty promise": {"SignedEntryTimestamp": ""},
    "a promise of nobody": {"SignedEntryTimestamp": "AAAA"},
    "another time": {"Payload": {"integratedTime": TIME + 1}},
    "a time after the certificate's end": {"Payload": {"integratedTime": TIME + 10**6}},
    "no time": {"Payload": {"integratedTime": None}},
    "another index": {"Payload": {"logIndex": 8}},
    "a negative index": {"Payload": {"logIndex": -1}},
    "another log": {"Payload": {"logID": "00" * 32}},
    "a log that is no number": {"Payload": {"logID": "xyz"}},
    "another body": {"Payload": {"body": "e30="}},
    "a body that is no text": {"Payload": {"body": {}}},
    "more of a payload": {"Payload": {"more": 1}},
}


@pytest.mark.parametrize("name", LOG_ENTRIES)
def test_a_log_entry_that_is_changed_is_refused(name: str) -> None:
    right, change = keyless(payload()), LOG_ENTRIES[name]
    entry = json.loads(right[LOG_ENTRY])
    if isinstance(change, dict):
        changed = {**entry, **change}
        if isinstance(change.get("Payload"), dict):
            changed["Payload"] = {**entry["Payload"], **change["Payload"]}
        change = json.dumps(changed)
    with pytest.raises(SignatureRefusal):
        verify_keyless(payload(), {**right, LOG_ENTRY: change})


@pytest.mark.parametrize(
    "value", ["", "{", "{}", '{"SignedRFC3161Timestamp": ""}', '{"SignedRFC3161Timestamp": "MAA="}', '{"more": 1}']
)
def test_a_time_stamp_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SignatureRefusal):
        verify_keyless(payload(), {**keyless(payload()), TIMESTAMP: value})


@pytest.mark.parametrize(
    "value", ["", "x", "-----BEGIN CERTIFICATE-----", public(KEY, Encoding.PEM).decode(), "\ud800", "x" * 100_000]
)
def test_a_certificate_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SignatureRefusal):
        verify_keyless(payload(), {**keyless(payload()), CERTIFICATE: value})


@pytest.mark.parametrize("step", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_a_changed_byte_is_refused(step: int) -> None:
    data, right = payload(), keyless(payload())
    for at in range(0, len(data), step):
        with pytest.raises(SignatureRefusal):
            verify_keyless(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], right)
    for name, value in right.items():
        for at in range(0, len(value), step):
            changed = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
            with pytest.raises(SignatureRefusal):
                print(name, at, verify_keyless(data, {**right, name: changed}))
