"""Certificates and signatures of theirs, against `cryptography` and openssl."""

import hashlib

import pytest

from pipeline.ondisk import x509
from tests.writers.signing import make_chain, make_key, openssl_signature


@pytest.fixture(scope="module", params=["rsa:2048", "rsa:3072", "rsa:4096"])
def pair(request, tmp_path_factory):
    return make_key(tmp_path_factory.mktemp("keys"), "one", kind=request.param)


def test_a_certificate_is_read_as_cryptography_reads_it(pair):
    from cryptography import x509 as judge
    from cryptography.hazmat.primitives.serialization import Encoding

    own = x509.from_file(pair[1].read_bytes())
    other = judge.load_pem_x509_certificate(pair[1].read_bytes())
    numbers = other.public_key().public_numbers()
    assert (own.modulus, own.exponent) == (numbers.n, numbers.e)
    assert (own.not_before, own.not_after) == (other.not_valid_before_utc, other.not_valid_after_utc)
    assert own.subject == other.subject.rfc4514_string() == "CN=one,O=Tests\\, and more"
    assert own.encoding == other.public_bytes(Encoding.DER) and own == x509.from_file(own.encoding)
    assert own.issuer == other.issuer.public_bytes()


def test_a_signature_of_openssl_s_is_verified_and_no_other(pair):
    certificate, data = x509.from_file(pair[1].read_bytes()), b"what is signed"
    signature, digest = openssl_signature(pair[0], data), hashlib.sha256(data).digest()
    assert certificate.verifies(signature, digest)
    assert not certificate.verifies(signature, hashlib.sha256(b"other").digest())
    assert not certificate.verifies(signature[:-1], digest) and not certificate.verifies(b"\0" + signature, digest)
    assert not certificate.verifies(b"", digest)
    for at in range(0, len(signature), 37):
        assert not certificate.verifies(signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :], digest)


def test_another_padding_of_the_right_digest_is_refused(pair):
    """A message that ends in the digest, with garbage in its padding (Bleichenbacher's forgery of low exponents)."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate, digest = x509.from_file(pair[1].read_bytes()), hashlib.sha256(b"data").digest()
    numbers = load_pem_private_key(pair[0].read_bytes(), None).private_numbers()
    size = (certificate.modulus.bit_length() + 7) // 8
    for filler in (b"\0", b"\xfe"):
        message = b"\0\1" + filler * (size - 54) + b"\0" + b"\x30\x31\x30\x0d" + bytes(15) + digest
        value = pow(int.from_bytes(message[-size:], "big"), numbers.d, certificate.modulus)
        assert not certificate.verifies(value.to_bytes(size, "big"), digest)


@pytest.mark.parametrize(("kind", "why"), [
    ("ec -pkeyopt ec_paramgen_curve:P-256", "not an RSA key"), ("ed25519", "not an RSA key"), ("rsa:1024", "1024 bits"),
])  # fmt: skip
def test_a_key_that_firmware_does_not_take_is_refused(tmp_path, kind, why):
    _, certificate = make_key(tmp_path, "other", kind=kind)
    with pytest.raises(ValueError, match=why):
        x509.from_file(certificate.read_bytes())


def test_a_file_that_is_not_one_certificate_is_refused(pair, tmp_path):
    text = pair[1].read_bytes()
    for data, why in (
        (text * 2, "2 certificates"), (pair[0].read_bytes(), "no certificate"), (b"", "ends"), (b"nothing", "tag|ends"),
        (bytes(70_000), "larger than"), (text.replace(b"MII", b"MI!", 1), "no certificate"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            x509.from_file(data)


def test_a_damaged_certificate_is_read_or_refused(pair):
    encoding = x509.from_file(pair[1].read_bytes()).encoding
    for at in range(0, len(encoding), 2):
        for data in (encoding[:at], encoding[:at] + bytes([encoding[at] ^ 0x81]) + encoding[at + 1 :]):
            try:
                x509.from_file(data)
            except ValueError:
                continue


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_a_chain_is_one_where_each_certificate_issued_the_one_before(tmp_path, digest):
    _, chain, authority = make_chain(tmp_path, digest)
    leaf, issuer = x509.chain_from_file(chain.read_bytes())
    above = x509.from_file(authority.read_bytes())
    assert issuer.issued(leaf) and above.issued(issuer) and above.issued(above)
    assert not above.issued(leaf) and not leaf.issued(issuer) and not issuer.issued(issuer)
    assert not issuer.issued(leaf._replace(signature=issuer.signature))
    assert not issuer.issued(leaf._replace(body=leaf.body[:-1] + bytes([leaf.body[-1] ^ 1])))
    blocks = chain.read_bytes() + authority.read_bytes()
    assert x509.chain_from_file(blocks) == [leaf, issuer, above]
    for data, why in (
        (authority.read_bytes() + chain.read_bytes(), "is not signed by CN=leaf, which follows it"),
        (chain.read_bytes() * 2, "CN=issuer is not signed by CN=leaf"),
        (authority.read_bytes() * 9, "9 certificates: at most 8 are taken"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            x509.chain_from_file(data)
    with pytest.raises(ValueError, match="2 certificates: one is needed"):
        x509.from_file(chain.read_bytes())
