"""Signed certificate timestamps in a certificate (RFC 6962, 3.2 and 3.3): a log's promise to publish it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.ondisk import der
from pipeline.trust import keys
from pipeline.trust.certificate import EXPLICIT_EXTENSIONS, Certificate, first, sequence
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Log

EXTENSION = "1.3.6.1.4.1.11129.2.4.2"
V1, CERTIFICATE_TIMESTAMP, PRECERTIFICATE_ENTRY = b"\0", b"\0", b"\0\1"
SHA256_RSA, SHA256_ECDSA = b"\4\1", b"\4\3"
"""SignatureAndHashAlgorithm (RFC 5246, 7.4.1.4.1)."""
MAXIMUM = 16
"""Maximum number of time stamps in a certificate."""
LATEST = 1 << 47
"""Latest time of a time stamp, in milliseconds since 1970: beyond the year 6000."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Timestamp(NamedTuple):
    """A signed certificate timestamp. milliseconds: since 1970 UTC. algorithm: hash and signature of `signature`."""

    log_id: bytes
    milliseconds: int
    extensions: bytes
    algorithm: bytes
    signature: bytes


def verify(certificate: Certificate, authority: Certificate, logs: tuple[Log, ...]) -> None:
    """Returns if a log of `logs` promised to publish `certificate`, which `authority` issued; else SignatureRefusal.

    Time stamps of other logs are passed over; a wrong one of a log that is in the root is a refusal.
    """
    with about("certificate timestamp"):
        if (value := certificate.extension(EXTENSION)) is None:
            raise SignatureRefusal("the certificate has none")
        verified = 0
        for stamp in parse(der.expect(der.read(value), der.OCTET_STRING)):
            time = EPOCH + timedelta(milliseconds=stamp.milliseconds)
            if log := next((log for log in logs if log.log_id == stamp.log_id and log.validity.holds(time)), None):
                _verify(stamp, certificate, authority, keys.load(log.key))
                verified += 1
        if not verified:
            raise SignatureRefusal("none is by a log that the root has at this time")


def parse(data: bytes) -> list[Timestamp]:
    """Returns the time stamps of a SignedCertificateTimestampList. ValueError."""
    reader = _Reader(data)
    entries = _Reader(reader.vector(2))
    reader.end()
    stamps: list[Timestamp] = []
    while entries.data:
        if len(stamps) == MAXIMUM:
            raise ValueError(f"more than {MAXIMUM}")
        entry = _Reader(entries.vector(2))
        if entry.take(1) != V1:
            raise ValueError("not of version 1")
        log_id, time = entry.take(32), int.from_bytes(entry.take(8), "big")
        if time >= LATEST:
            raise ValueError("a time far from now")
        stamps.append(Timestamp(log_id, time, entry.vector(2), entry.take(2), entry.vector(2)))
        entry.end()
    return stamps


def precertificate(certificate: Certificate) -> bytes:
    """Returns the part of `certificate` that the log saw: without the extension of time stamps (3.2). ValueError."""
    *fields, explicit = sequence(der.read(certificate.tbs))
    extensions = sequence(der.read(der.expect(explicit, EXPLICIT_EXTENSIONS)))
    kept = [each.encoding for each in extensions if first(each).encoding != der.identifier(EXTENSION)]
    rest = der.encode(EXPLICIT_EXTENSIONS, der.encode(der.SEQUENCE, *kept)) if kept else b""
    return der.encode(der.SEQUENCE, *(each.encoding for each in fields), rest)


def _verify(stamp: Timestamp, certificate: Certificate, authority: Certificate, key: keys.PublicKey) -> None:
    if stamp.algorithm not in (SHA256_RSA, SHA256_ECDSA) or keys.own_hash(key) is None:
        raise SignatureRefusal("a signature that is not ECDSA or RSA with SHA-256")
    tbs = precertificate(certificate)
    signed = b"".join(
        (
            V1, CERTIFICATE_TIMESTAMP, stamp.milliseconds.to_bytes(8, "big"), PRECERTIFICATE_ENTRY,
            hashlib.sha256(authority.key).digest(), len(tbs).to_bytes(3, "big"), tbs,
            len(stamp.extensions).to_bytes(2, "big"), stamp.extensions,
        )
    )  # fmt: skip
    keys.verify(key, stamp.signature, signed, hash="sha256")


class _Reader:
    """Reads TLS's presentation language (RFC 8446, 3)."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int) -> bytes:
        if len(self.data) < count:
            raise ValueError("it ends within a field")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def vector(self, width: int) -> bytes:
        """Returns a vector whose length is in the first `width` bytes."""
        return self.take(int.from_bytes(self.take(width), "big"))

    def end(self) -> None:
        if self.data:
            raise ValueError("bytes after the last field")
