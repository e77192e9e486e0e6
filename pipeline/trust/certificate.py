"""X.509 certificates for signatures (RFC 5280, 4): the fields that verification looks at, whatever the key.

Certificates of firmware, with RSA keys alone, are pipeline.ondisk.x509's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.ondisk import der
from pipeline.ondisk.x509 import EXPLICIT_VERSION, GENERALIZED_TIME, UTC_TIME
from pipeline.trust.error import about

LARGEST = 1 << 16
"""Maximum size of a certificate, in bytes."""
EXPLICIT_EXTENSIONS, BOOLEAN = 0xA3, 0x01
VERSION_3 = der.integer(2)
TIME = re.compile(rb"(\d{14})(?:\.(\d*[1-9]))?Z")
"""A GeneralizedTime in DER (X.690, 11.7): to the second, or with a fraction that does not end in 0."""
STRINGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x1E: "utf-16-be"}
"""Tags of UTF8String, PrintableString, IA5String and BMPString -> their encodings."""


class Extension(NamedTuple):
    """An extension (4.2). value: the contents of its OCTET STRING."""

    critical: bool
    value: bytes


class Certificate(NamedTuple):
    """A certificate.

    encoding: the whole of it. tbs: the part that is signed. issuer, subject, serial, key, algorithm: encoded elements;
    the key is a SubjectPublicKeyInfo, the algorithm an AlgorithmIdentifier. extensions: by encoded object identifier.
    """

    encoding: bytes
    tbs: bytes
    serial: bytes
    issuer: bytes
    not_before: datetime
    not_after: datetime
    subject: bytes
    key: bytes
    extensions: dict[bytes, Extension]
    algorithm: bytes
    signature: bytes

    def extension(self, dotted: str) -> bytes | None:
        """Returns the value of the extension `dotted`; None if it is absent."""
        extension = self.extensions.get(der.identifier(dotted))
        return extension.value if extension else None

    def is_valid(self, time: datetime) -> bool:
        """Returns whether `time` is within the validity, whose ends are included (4.1.2.5)."""
        return self.not_before <= time <= self.not_after


def parse(unsafe_data: bytes) -> Certificate:
    """Returns the certificate `unsafe_data`, in DER. SignatureRefusal."""
    with about("certificate"):
        if len(unsafe_data) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        tbs, algorithm, signature = sequence(der.read(unsafe_data))
        fields = sequence(tbs)
        version, serial, inner, issuer, validity, subject, key = fields[:7]
        if der.expect(version, EXPLICIT_VERSION) != VERSION_3 or inner.encoding != algorithm.encoding:
            raise ValueError("not of version 3, or its two algorithms differ")
        der.expect(serial, der.INTEGER)
        start, end = (time(each) for each in sequence(validity))
        return Certificate(
            unsafe_data, tbs.encoding, serial.encoding, issuer.encoding, start, end, subject.encoding, key.encoding,
            _extensions(fields[7:]), algorithm.encoding, bits(signature),
        )  # fmt: skip


def sequence(element: der.Element) -> list[der.Element]:
    """Returns the elements of a SEQUENCE. ValueError."""
    return der.children(der.expect(element, der.SEQUENCE))


def first(element: der.Element) -> der.Element:
    """Returns the first element of a SEQUENCE. ValueError."""
    elements = sequence(element)
    if not elements:
        raise ValueError("an empty sequence")
    return elements[0]


def bits(element: der.Element) -> bytes:
    """Returns the bytes of a BIT STRING with whole bytes. ValueError."""
    content = der.expect(element, der.BIT_STRING)
    if content[:1] != b"\0":
        raise ValueError("a BIT STRING that does not end with a byte")
    return content[1:]


def time(element: der.Element) -> datetime:
    """Returns a UTCTime or GeneralizedTime (4.1.2.5; two digits of a year are 1950 to 2049). ValueError."""
    text = element.content
    if element.tag == UTC_TIME:
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    match = TIME.fullmatch(text)
    if element.tag not in (UTC_TIME, GENERALIZED_TIME) or not match or (match[2] and element.tag == UTC_TIME):
        raise ValueError("a time that DER does not allow")
    fraction = (match[2] or b"").ljust(6, b"0")[:6]
    whole = datetime.strptime(f"{match[1].decode()}+0000", "%Y%m%d%H%M%S%z")
    return whole.replace(microsecond=int(fraction), tzinfo=UTC)


def string(element: der.Element) -> str:
    """Returns the text of a string element. ValueError for other kinds of it, and for control characters."""
    if element.tag not in STRINGS:
        raise ValueError(f"a text with tag {element.tag:#04x}")
    text = element.content.decode(STRINGS[element.tag])
    if not text.isprintable():
        raise ValueError("a text with control characters")
    return text


def dotted(element: der.Element) -> str:
    """Returns an OBJECT IDENTIFIER in its dotted form (X.690, 8.19). ValueError."""
    arcs, value = [], 0
    content = der.expect(element, der.OBJECT_IDENTIFIER)
    if not content or content[-1] & 0x80:
        raise ValueError("an object identifier that ends within an arc")
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - first * 40, *arcs[1:])))


def _extensions(fields: list[der.Element]) -> dict[bytes, Extension]:
    """Returns the extensions; none may be there twice (4.2). Unique identifiers (4.1.2.8) are refused."""
    if not fields:
        return {}
    (explicit,) = fields
    result: dict[bytes, Extension] = {}
    for element in sequence(der.read(der.expect(explicit, EXPLICIT_EXTENSIONS))):
        identifier, *flag, value = sequence(element)
        der.expect(identifier, der.OBJECT_IDENTIFIER)
        if len(flag) > 1 or identifier.encoding in result:
            raise ValueError("a malformed extension, or one that is there twice")
        critical = bool(flag) and _true(flag[0])
        result[identifier.encoding] = Extension(critical, der.expect(value, der.OCTET_STRING))
    return result


def _true(element: der.Element) -> bool:
    """Returns True for the BOOLEAN of a flag that is false by default (X.690, 11.1 and 11.5). ValueError."""
    if der.expect(element, BOOLEAN) not in (b"\xff", b"\0"):
        raise ValueError("a BOOLEAN that DER does not allow")
    return element.content == b"\xff"
