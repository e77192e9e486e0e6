"""Certificates: `cryptography` as the other reader, and bytes that are none."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.ondisk import der
from pipeline.trust import certificate, chain, keyless
from pipeline.trust.error import SignatureRefusal
from tests.trust.certificates import MIDDLE, issue
from tests.trust.der_edits import edits


def test_fields_are_those_that_another_reader_sees() -> None:
    issued = issue("Ä, a name", authority=True, purposes=("code",))
    other, ours = issued.certificate, issued.parsed
    assert ours.tbs == other.tbs_certificate_bytes and ours.signature == other.signature
    assert ours.key == other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ours.subject == ours.issuer == other.subject.public_bytes()
    assert (ours.not_before, ours.not_after) == (other.not_valid_before_utc, other.not_valid_after_utc)
    names = {certificate.dotted(der.read(identifier)): each.critical for identifier, each in ours.extensions.items()}
    assert names == {each.oid.dotted_string: each.critical for each in other.extensions}


def test_a_flipped_byte_changes_a_field_or_is_refused() -> None:
    data = issue("name", purposes=("code",)).certificate.public_bytes(Encoding.DER)
    parsed = certificate.parse(data)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1
        try:
            other = certificate.parse(bytes(flipped))
        except SignatureRefusal as error:
            assert str(error).startswith("certificate: ")
            continue
        assert (other.tbs, other.signature) != (parsed.tbs, parsed.signature)


def test_an_edited_element_is_another_certificate_or_is_refused() -> None:
    data = issue("name", authority=True, length=1, purposes=("code",)).certificate.public_bytes(Encoding.DER)
    for edited in edits(data):
        try:
            other = certificate.parse(edited)
            chain.verify([other], chain.CODE_SIGNING, MIDDLE)
            keyless.identity(other)
        except SignatureRefusal as error:
            assert str(error).isprintable()
            continue
        pytest.fail("an authority's certificate signs nothing")


@pytest.mark.parametrize(("text", "time"), [
    (b"20240229000000Z", "2024-02-29 00:00:00"), (b"20240229000000.5Z", "2024-02-29 00:00:00.500000"),
])  # fmt: skip
def test_times(text: bytes, time: str) -> None:
    assert str(certificate.time(der.Element(0x18, text, b""))) == f"{time}+00:00"
    assert certificate.time(der.Element(0x17, b"491231235959Z", b"")).year == 2049
    assert certificate.time(der.Element(0x17, b"500101000000Z", b"")).year == 1950


@pytest.mark.parametrize(
    "text",
    [b"20240230000000Z", b"20240229000000", b"20240229000000.0Z", b"20240229000000+0100", b"", b"2024", b"\xff" * 15],
)
def test_what_is_no_time_is_refused(text: bytes) -> None:
    for tag in (0x17, 0x18):
        with pytest.raises(ValueError, match=r"."):
            certificate.time(der.Element(tag, text, b""))


def test_object_identifiers() -> None:
    for dotted in ("1.2.840.113549", "2.5.29.17", "0.9.2342.19200300.100.1.25", "2.999.1", "1.3.6.1.4.1.57264.1.8"):
        assert certificate.dotted(der.read(der.identifier(dotted))) == dotted
    with pytest.raises(ValueError, match="within an arc"):
        certificate.dotted(der.Element(6, b"\x2a\x86", b""))
