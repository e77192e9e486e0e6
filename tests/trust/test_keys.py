"""Keys and signatures, with openssl as the other side, and RFC 8032's own values."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.trust import keys
from pipeline.trust.error import SignatureRefusal
from tests.judges import need, run

KINDS = {
    "P-256": ("EC", ["ec_paramgen_curve:P-256"], "sha256", []),
    "P-384": ("EC", ["ec_paramgen_curve:P-384"], "sha384", []),
    "P-521": ("EC", ["ec_paramgen_curve:P-521"], "sha512", []),
    "RSA": ("RSA", ["rsa_keygen_bits:2048"], "sha256", []),
    "RSA-PSS": ("RSA", ["rsa_keygen_bits:2048"], "sha256", ["rsa_padding_mode:pss", "rsa_pss_saltlen:digest"]),
}
"""Names -> algorithm, its options, hash and options of signatures, for openssl-genpkey(1) and openssl-pkeyutl(1)."""
RFC8032 = (
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
    "387b2eaeb4302aeeb00d291612bb0c00",
)
"""RFC 8032, 7.1, test 2: public key, message, signature."""


def make(folder: Path, kind: str) -> tuple[keys.PublicKey, bytes]:
    """Returns a new public key in openssl's PEM, and openssl's signature of b"data"."""
    algorithm, options, hash, padding = KINDS[kind]
    private, data, signature = folder / "key", folder / "digest", folder / "signature"
    need("openssl")
    words = [word for option in options for word in ("-pkeyopt", option)]
    run("openssl", "genpkey", "-algorithm", algorithm, *words, "-out", private)
    data.write_bytes(hashlib.new(hash, b"data").digest())
    words = [word for option in [f"digest:{hash}", *padding] for word in ("-pkeyopt", option)]
    run("openssl", "pkeyutl", "-sign", "-inkey", private, "-in", data, "-out", signature, *words)
    public = run("openssl", "pkey", "-in", private, "-pubout").stdout
    return keys.load(public.encode()), signature.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_of_openssl_are_verified_by_the_algorithm_of_the_key(tmp_path: Path, kind: str) -> None:
    key, signature = make(tmp_path, kind)
    padding: keys.Padding = "pss" if kind == "RSA-PSS" else "pkcs1"
    hash = KINDS[kind][2]
    keys.verify(key, signature, b"data", padding=padding)
    with pytest.raises(SignatureRefusal, match="not one of these data"):
        keys.verify(key, signature, b"Data", padding=padding)
    with pytest.raises(SignatureRefusal):
        keys.verify(key, signature[:-1], b"data", padding=padding)
    if kind != "RSA-PSS":
        keys.verify_digest(key, signature, hashlib.new(hash, b"data").digest(), hash)
        with pytest.raises(SignatureRefusal, match="is not one of"):
            keys.verify_digest(key, signature, b"data", hash)
    if kind.startswith("RSA"):
        with pytest.raises(SignatureRefusal):
            keys.verify(key, signature, b"data", padding="pkcs1" if padding == "pss" else "pss")


def test_ed25519_is_that_of_the_rfc() -> None:
    public, message, signature = map(bytes.fromhex, RFC8032)
    key = keys.load(bytes.fromhex("302a300506032b6570032100") + public)
    keys.verify(key, signature, message)
    with pytest.raises(SignatureRefusal):
        keys.verify(key, signature, message + b"x")
    with pytest.raises(SignatureRefusal, match="not of their digest"):
        keys.verify_digest(key, signature, bytes(32), "sha256")
    assert keys.digest(key) == "sha256:" + hashlib.sha256(keys.encoding(key)).hexdigest()


@pytest.mark.parametrize("options", [("EC", "ec_paramgen_curve:secp256k1"), ("RSA", "rsa_keygen_bits:1024")])
def test_weak_and_unusual_keys_are_refused(options: tuple[str, str]) -> None:
    need("openssl")
    private = run("openssl", "genpkey", "-algorithm", options[0], "-pkeyopt", options[1]).stdout
    public = run("openssl", "pkey", "-pubout", input=private).stdout
    with pytest.raises(SignatureRefusal, match="not taken"):
        keys.load(public.encode())


@pytest.mark.parametrize(
    "data", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\x30\x80", b"0"]
)
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureRefusal, match="not a public key in"):
        keys.load(data)
    with pytest.raises(SignatureRefusal, match="larger than"):
        keys.load(data + b" " * keys.LARGEST_FILE + b"x")
