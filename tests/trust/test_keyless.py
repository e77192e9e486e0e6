"""Identities in certificates: each kind of name, and the two extensions of the issuer."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.ondisk import der
from pipeline.trust import certificate, keyless
from pipeline.trust.error import SignatureRefusal
from tests.trust.certificates import END, START

FULCIO = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
URI = x509.UniformResourceIdentifier("https://example.org/workflow@main")
ISSUER = "https://issuer.example"
NEW = {keyless.ISSUER: der.encode(keyless.UTF8_STRING, ISSUER.encode())}
OLD = {keyless.OLD_ISSUER: ISSUER.encode()}


def made(names: list[x509.GeneralName], extensions: dict[str, bytes]) -> certificate.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    empty = x509.Name([])
    builder = x509.CertificateBuilder(empty, empty, key.public_key(), x509.random_serial_number(), START, END)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for dotted, value in extensions.items():
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), value)
        builder = builder.add_extension(unknown, critical=False)
    return certificate.parse(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))


@pytest.mark.parametrize(("name", "text"), [
    (URI, "https://example.org/workflow@main"), (x509.RFC822Name("me@example.org"), "me@example.org"),
    (x509.OtherName(FULCIO, der.encode(keyless.UTF8_STRING, b"a user")), "a user"),
])  # fmt: skip
@pytest.mark.parametrize("extensions", [NEW, OLD, NEW | OLD])
def test_an_identity_is_a_name_and_its_issuer(name: x509.GeneralName, text: str, extensions: dict[str, bytes]) -> None:
    assert keyless.identity(made([name], extensions)) == (ISSUER, text)


@pytest.mark.parametrize(("names", "extensions", "message"), [
    ([], NEW, "0 subject alternative names"), ([URI, URI], NEW, "2 subject alternative names"),
    ([x509.DNSName("example.org")], NEW, "neither a URI nor an address"), ([URI], {}, "no issuer, or two"),
    ([URI], NEW | {keyless.OLD_ISSUER: b"https://other"}, "no issuer, or two"),
    ([URI], {keyless.OLD_ISSUER: b""}, "no issuer, or two"), ([URI], {keyless.OLD_ISSUER: b"a\nb"}, "control"),
    ([URI], {keyless.OLD_ISSUER: b"\xff"}, "utf-8"), ([URI], {keyless.ISSUER: ISSUER.encode()}, "the signer's"),
    ([x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\5\0")], NEW, "of a kind that is not known"),
])  # fmt: skip
def test_another_identity_is_refused(names: list[x509.GeneralName], extensions: dict[str, bytes], message: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"^the signer's certificate: .*{message}|^{message}"):
        keyless.identity(made(names, extensions))
