"""Bundles of our own: the same each time, and verified by openssl, npm's sigstore and PyPI's, and by ourselves."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pipeline.model.digest import Digest
from pipeline.trust import bundle, keys, signing, simplesigning, statement
from pipeline.trust.error import SignatureRefusal
from tests import judges
from tests.trust.vectors import PYPI_SIGSTORE

MANIFEST = b'{"schemaVersion":2}'
DIGEST = Digest.of(MANIFEST)
PAYLOAD = signing.payload(DIGEST)
RFC6979_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC6979_SIGNATURE = (
    0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
    0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
)
"""RFC 6979, A.2.5: P-256, SHA-256, the message "sample"."""
KEYS: dict[str, signing.PrivateKey] = {
    "Ed25519": Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
    "P-256": ec.derive_private_key(RFC6979_KEY, ec.SECP256R1()),
}


def pem(key: Any, encryption: Any = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public(key: signing.PrivateKey) -> keys.PublicKey:
    return keys.load(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def made(key: signing.PrivateKey) -> bytes:
    """Returns a bundle by `key`, by way of its file."""
    loaded = signing.load(pem(key))
    return signing.assemble(PAYLOAD, public(key), signing.sign(loaded, signing.to_sign(PAYLOAD)))


def test_ecdsa_is_that_of_the_rfc() -> None:
    signature = signing.sign(KEYS["P-256"], b"sample")
    assert utils.decode_dss_signature(signature) == RFC6979_SIGNATURE


@pytest.mark.parametrize("kind", KEYS)
def test_a_bundle_is_the_same_each_time_and_about_its_digest(kind: str) -> None:
    key, data = KEYS[kind], made(KEYS[kind])
    assert made(key) == signing.bundle(key, PAYLOAD) == data
    result = bundle.verify(data, None, key=public(key), artifact=MANIFEST)
    assert result.digests == {DIGEST} and result.predicate_type == statement.SIGNATURE
    assert result.signer.principal == ("key", "", keys.digest(public(key)))
    other = public(KEYS["P-256" if kind != "P-256" else "Ed25519"])
    with pytest.raises(SignatureRefusal, match="signature"):
        bundle.verify(data, None, key=other)


def test_a_signature_of_something_else_is_not_written() -> None:
    key = KEYS["Ed25519"]
    with pytest.raises(SignatureRefusal, match="not one of these data"):
        signing.assemble(PAYLOAD, public(key), signing.sign(key, signing.to_sign(signing.payload(Digest.of(b"other")))))


@pytest.mark.parametrize("kind", KEYS)
def test_a_legacy_signature_is_one_of_its_digest(kind: str) -> None:
    key, payload = KEYS[kind], signing.legacy_payload(DIGEST, "example.com/app")
    annotations = {simplesigning.SIGNATURE: base64.b64encode(signing.sign(key, payload)).decode()}
    assert simplesigning.verify(payload, annotations, None, key=public(key)).digests == {DIGEST}


def test_keys_that_do_not_sign_here_are_refused() -> None:
    with pytest.raises(SignatureRefusal, match="does not sign images"):
        signing.load(pem(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(SignatureRefusal, match="does not sign images"):
        signing.load(pem(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(SignatureRefusal, match="is encrypted"):
        signing.load(pem(KEYS["P-256"], BestAvailableEncryption(b"secret")))
    with pytest.raises(SignatureRefusal, match="not a private key"):
        signing.load(b"-----BEGIN PRIVATE KEY-----\n")


def files(folder: Path, kind: str) -> dict[str, Path]:
    """Writes a bundle, its key, its artifact and an empty root into `folder`."""
    paths = {name: folder / name for name in ("bundle", "key", "artifact", "root", "data", "signature")}
    paths["bundle"].write_bytes(made(KEYS[kind]))
    paths["key"].write_bytes(KEYS[kind].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    paths["artifact"].write_bytes(MANIFEST)
    paths["root"].write_text('{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}')
    paths["data"].write_bytes(signing.to_sign(PAYLOAD))
    paths["signature"].write_bytes(signing.sign(KEYS[kind], signing.to_sign(PAYLOAD)))
    return paths


@pytest.mark.parametrize("kind", KEYS)
def test_openssl_verifies_what_is_signed(tmp_path: Path, kind: str) -> None:
    judges.need("openssl")
    paths = files(tmp_path, kind)
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", paths["key"], "-sigfile", paths["signature"]]
    if kind == "Ed25519":
        done = judges.run(*verify, "-rawin", "-in", paths["data"])
    else:
        paths["data"].write_bytes(hashlib.sha256(paths["data"].read_bytes()).digest())
        done = judges.run(*verify, "-in", paths["data"], "-pkeyopt", "digest:sha256")
    assert "Verified Successfully" in done.stdout


@pytest.mark.slow
def test_npm_verifies_a_bundle(tmp_path: Path) -> None:
    from tests.trust.test_other_verifiers import NPM

    cases = []
    for kind in KEYS:
        folder = tmp_path / kind
        folder.mkdir()
        paths = {name: str(path) for name, path in files(folder, kind).items()}
        cases.append({"name": kind, **paths, "options": {"tlogThreshold": 0, "timestampThreshold": 0}})
    other = {**cases[1], "name": "another key", "key": cases[0]["key"]}
    (tmp_path / "cases").write_text(json.dumps([*cases, other]))
    program = Path(__file__).with_name("judge.mjs")
    done = judges.run(judges.need("node", "nodejs"), program, tmp_path / "cases", judges.npm_packages(*NPM))
    verdicts = json.loads(done.stdout)
    assert verdicts.pop("another key") is not None
    assert verdicts == dict.fromkeys(KEYS), verdicts


PYPI_PROGRAM = """
import json, sys
from pathlib import Path
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sigstore.dsse import Envelope, Statement, _verify
fields = json.loads(Path(sys.argv[1]).read_text())["dsseEnvelope"]
payload = _verify(load_pem_public_key(Path(sys.argv[2]).read_bytes()), Envelope._from_json(json.dumps(fields)))
print(Statement(payload)._inner.subjects[0].digest.root["sha256"])
"""


@pytest.mark.slow
def test_pypi_verifies_an_envelope(tmp_path: Path) -> None:
    paths = files(tmp_path, "P-256")
    python = judges.python_with(PYPI_SIGSTORE)
    done = judges.run(python, "-I", "-c", PYPI_PROGRAM, paths["bundle"], paths["key"])
    assert f"sha256:{done.stdout.strip()}" == DIGEST
