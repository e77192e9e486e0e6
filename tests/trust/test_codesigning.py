"""Certificate chains of signers: each requirement of the Notary Project's specification broken in turn."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pipeline.trust import certificate, codesigning
from pipeline.trust.error import SignatureRefusal
from tests.judges import need, run
from tests.trust.notary import (
    AUTHORITY,
    END,
    LEAF,
    SUBJECT,
    USAGES,
    Signer,
    constraints,
    extended,
    issue,
    new_key,
    signer,
    usage,
)  # fmt: skip

ROOT = issue("CN=root,O=acme,ST=WA,C=US", None, *AUTHORITY)
MIDDLE = issue("CN=middle,O=acme,ST=WA,C=US", ROOT, *AUTHORITY)
CODE = extended("CODE_SIGNING")
LONE = (x509.SubjectKeyIdentifier(b"1"), False)
"""An extension that is not looked at."""


def check(by: Signer, purpose: codesigning.Purpose = "code signing") -> None:
    codesigning.check_chain([certificate.parse(each) for each in by.chain], purpose)


def leaf(*extensions: tuple[x509.ExtensionType, bool], **options: object) -> Signer:
    return issue(SUBJECT, MIDDLE, *extensions, **options)


def below(*extensions: tuple[x509.ExtensionType, bool], **options: object) -> Signer:
    """Returns a signer below an authority with these extensions."""
    return issue(SUBJECT, issue("CN=odd,O=acme", ROOT, *extensions, **options), *LEAF)


def authority(longest: int | None, by: Signer | None = None) -> Signer:
    """Returns an authority with a path length."""
    return issue(f"CN=authority {longest}", by, usage("key_cert_sign"), constraints(True, longest))


TAKEN = {
    "a root, an authority, a signer": signer(),
    "a root and a signer": issue(SUBJECT, ROOT, *LEAF),
    "a signer alone": issue(SUBJECT, None, *LEAF),
    "no extended key usage": leaf(usage("digital_signature")),
    "a critical one": leaf(usage("digital_signature"), extended("CODE_SIGNING", critical=True)),
    "another one that is not refused": leaf(usage("digital_signature"), extended("SMARTCARD_LOGON")),
    "content commitment": leaf(usage("digital_signature", "content_commitment"), CODE),
    "basic constraints without cA": leaf(*LEAF, constraints(False)),
    "such that are not critical": leaf(*LEAF, constraints(False, critical=False)),
    "extensions that are not looked at": leaf(*LEAF, LONE),
    "a path length that is just enough": issue(SUBJECT, authority(0, authority(1)), *LEAF),
    "an authority that signs lists, too": below(usage("key_cert_sign", "crl_sign"), constraints(True)),
    "SHA-384": leaf(*LEAF, hash=hashes.SHA384()),
    "a signer named as its issuer": issue("CN=middle,O=acme,ST=WA,C=US", MIDDLE, *LEAF, kind="P-384"),
}  # fmt: skip
REFUSED = {
    "the root of an authority alone": (ROOT, "is an authority's"),
    "no key usage": (leaf(CODE), "key usage is missing"),
    "a key usage that is not critical": (leaf(usage("digital_signature", critical=False), CODE),
    "missing or not critical"),
    "a key usage without digitalSignature": (leaf(usage("content_commitment"), CODE), "not digitalSignature alone"),
    **{
        name: (leaf(usage("digital_signature", name), CODE), "not digitalSignature alone")
        for name in USAGES[2:7]
    },
    "encipherOnly": (leaf(usage("digital_signature", "key_agreement", "encipher_only")), "not digitalSignature alone"),
    "decipherOnly": (leaf(usage("digital_signature", "key_agreement", "decipher_only")), "not digitalSignature alone"),
    **{
        name: (leaf(usage("digital_signature"), extended("CODE_SIGNING", name)), "extended key usage has")
        for name in ("SERVER_AUTH", "CLIENT_AUTH", "EMAIL_PROTECTION", "TIME_STAMPING", "OCSP_SIGNING",
        "ANY_EXTENDED_KEY_USAGE")
    },
    "an authority that signs artifacts": (leaf(usage("digital_signature"), constraints(True)), "is an authority's"),
    "a curve that is none of NIST's": (leaf(*LEAF, kind="P-256K"), "not taken"),
    "RSA of 1024 bits": (leaf(*LEAF, kind="1024"), "not taken"),
    "RSA of 2560 bits": (leaf(*LEAF, kind="2560"), "its key is neither"),
    "an authority without basic constraints": (below(usage("key_cert_sign")), "critical basic constraints"),
    "basic constraints that are not critical": (below(usage("key_cert_sign"), constraints(True, critical=False)),
    "critical basic"),
    "an authority without cA": (below(usage("key_cert_sign"), constraints(False)), "critical basic constraints"),
    "an authority without key usage": (below(constraints(True)), "key usage is missing"),
    "an authority whose key usage is not critical": (
        below(usage("key_cert_sign", critical=False), constraints(True)), "missing or not critical"
    ),
    "an authority without keyCertSign": (below(usage("crl_sign"), constraints(True)), "no keyCertSign"),
    "a path length that is too short": (
        issue(SUBJECT, authority(None, authority(0)), *LEAF), "1 authorities are below it, more than its 0"
    ),
    "a signer that signs for itself, with a root": (
        Signer(None, issue(SUBJECT, None, *LEAF).certificate, (ROOT.certificate,)), "signed by itself, and not the last"
    ),
    "no issuer": (leaf(*LEAF)._replace(above=()), "not signed by itself"),
    "an issuer of the same name with another key": (
        leaf(*LEAF)._replace(above=(issue("CN=middle,O=acme,ST=WA,C=US", ROOT, *AUTHORITY, kind="P-384").certificate,)),
        "not issued by the next",
    ),
    "an issuer of another name with the same key": (
        leaf(*LEAF)._replace(above=(issue("CN=maddli,O=acme,ST=WA,C=US", ROOT, *AUTHORITY).certificate,)),
        "not issued by the next",
    ),
}  # fmt: skip
"""Kinds of chains -> one, and a part of the error (notation-core-go, x509/codesigning_cert_validations_test.go)."""


@pytest.mark.parametrize("name", TAKEN)
def test_a_chain_that_the_specification_allows_is_taken(name: str) -> None:
    check(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_chain_that_breaks_a_requirement_is_refused(name: str) -> None:
    by, why = REFUSED[name]
    with pytest.raises(SignatureRefusal, match=why):
        check(by)


def test_a_certificate_for_time_stamps_has_no_other_use(subtests: pytest.Subtests) -> None:
    stamping = extended("TIME_STAMPING", critical=True)
    check(leaf(usage("digital_signature"), stamping), "time stamping")
    check(leaf(usage("digital_signature", critical=False), stamping), "time stamping")
    for extensions in (
        [usage("digital_signature")],
        [usage("digital_signature"), extended("TIME_STAMPING")],
        [usage("digital_signature"), extended("TIME_STAMPING", "CODE_SIGNING", critical=True)],
        [usage("digital_signature"), extended("CODE_SIGNING", critical=True)],
        [stamping],
    ):
        with subtests.test(extensions=extensions), pytest.raises(SignatureRefusal, match="usage is"):
            check(leaf(*extensions), "time stamping")


def test_a_certificate_signed_with_sha_1_is_refused(tmp_path) -> None:
    """Made by openssl: `cryptography` signs none."""
    need("openssl")
    key, file = tmp_path / "key", tmp_path / "certificate"
    options = [
        "-subj",
        "/CN=x",
        "-addext",
        "keyUsage=critical,digitalSignature",
        "-addext",
        "basicConstraints=CA:FALSE",
    ]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *options]
    make += ["-keyout", key, "-out", file]
    for hash, right in (("sha1", False), ("sha256", True)):
        run(*make, f"-{hash}", "-outform", "DER")
        chain = [certificate.parse(file.read_bytes())]
        if right:
            codesigning.check_chain(chain)
        else:
            with pytest.raises(SignatureRefusal, match="not signed by itself"):
                codesigning.check_chain(chain)


def test_all_certificates_are_valid_for_the_whole_range_of_a_time() -> None:
    chain = [certificate.parse(each) for each in signer(end=END + 5).chain]
    first, last, later = (datetime.fromtimestamp(END + each, UTC) for each in (-1, 0, 1))
    codesigning.check_validity(chain, first, last)
    codesigning.check_validity(chain, last, last)
    for pair in ((last, later), (datetime.fromtimestamp(0, UTC), last), (last, first)):
        with pytest.raises(SignatureRefusal, match="not at the signature's time"):
            codesigning.check_validity(chain, *pair)


def test_an_ecdsa_signature_is_two_numbers_of_the_key_s_size() -> None:
    signing = certificate.parse(signer().chain[0])
    for signature in (b"", bytes(64), bytes(63), bytes(65), b"\xff" * 64):
        with pytest.raises(SignatureRefusal):
            codesigning.verify(signing, signature, b"data")


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\x30\0", b"-----BEGIN CERTIFICATE-----", signer().chain[0] + b"\0", signer().chain[0][:-1]]
)
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureRefusal, match=r"^certificate: "):
        certificate.parse(data)


def test_each_byte_of_a_certificate_flipped_leaves_it_without_its_issuer() -> None:
    """Whatever is flipped: the issuer's signature is of all of it."""
    root, leaf = certificate.parse(ROOT.chain[0]), issue(SUBJECT, ROOT, *LEAF).chain[0]
    for at in range(len(leaf)):
        flipped = leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :]
        try:
            assert not codesigning.is_issued_by(certificate.parse(flipped), root), at
        except SignatureRefusal:
            continue
    assert new_key("P-256", 0) is new_key("P-256", 0)
