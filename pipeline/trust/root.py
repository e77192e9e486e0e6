"""The root of keyless signatures: authorities and logs (protobuf-specs, sigstore_trustroot.proto).

A root is a file of the project, `trusted_root.json`. Intervals of validity are closed. Keys are parsed when they are
used: a root may hold old ones of kinds that nothing needs any more.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.trust import certificate, document
from pipeline.trust.certificate import Certificate
from pipeline.trust.document import Object
from pipeline.trust.error import SignatureRefusal, about

MEDIA_TYPES = (
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
)
LARGEST = 4 << 20
"""Maximum size of a root, in bytes."""
MAXIMUM = 100
"""Maximum number of logs, and of authorities, of a kind."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
"""RFC 3339, 5.6, in UTC."""


class Validity(NamedTuple):
    """A closed interval of time. end: None if it has not ended."""

    start: datetime
    end: datetime | None

    def holds(self, time: datetime) -> bool:
        """Returns whether `time` is in the interval, or is one of its ends."""
        return self.start <= time and (self.end is None or time <= self.end)


class Log(NamedTuple):
    """A log of signatures (Rekor) or of certificates (RFC 6962).

    origin: host and path of its URL, the name in its checkpoints. key: SubjectPublicKeyInfo. key_hint: the four bytes
    that name the key in checkpoints (C2SP signed-note).
    """

    origin: str
    log_id: bytes
    key: bytes
    key_hint: bytes
    validity: Validity


class Authority(NamedTuple):
    """An authority. path: its certificates, the one that signs first and the anchor last."""

    path: tuple[Certificate, ...]
    validity: Validity


class Root(NamedTuple):
    """A root. signature_logs: Rekor's. certificate_logs: those of signed certificate timestamps."""

    signature_logs: tuple[Log, ...]
    certificate_logs: tuple[Log, ...]
    authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]


def parse(unsafe_data: bytes) -> Root:
    """Returns the root in `unsafe_data`. SignatureRefusal."""
    with about("root"):
        fields = document.parse(unsafe_data, LARGEST)
        if (media_type := fields.text("mediaType")) not in MEDIA_TYPES:
            raise SignatureRefusal(f"mediaType is {media_type[:80]!a}, not {MEDIA_TYPES[0]}")
        return Root(
            tuple(map(_log, fields.objects("tlogs", MAXIMUM))),
            tuple(map(_log, fields.objects("ctlogs", MAXIMUM))),
            tuple(map(_authority, fields.objects("certificateAuthorities", MAXIMUM))),
            tuple(map(_authority, fields.objects("timestampAuthorities", MAXIMUM))),
        )


def newest(root: Root) -> datetime | None:
    """Returns when the last of a root's logs and authorities became valid; None if it has none."""
    logs, authorities = root.signature_logs + root.certificate_logs, root.authorities + root.timestamp_authorities
    parts: list[Log | Authority] = [*logs, *authorities]
    return max((each.validity.start for each in parts), default=None)


def _log(fields: Object) -> Log:
    key = fields.object("publicKey")
    hint = fields.object("checkpointKeyId" if fields.has("checkpointKeyId") else "logId").blob("keyId")
    log_id = fields.object("logId").blob("keyId") if fields.has("logId") else hint
    origin = fields.text("baseUrl").partition("://")[2].rstrip("/")
    return Log(origin, log_id, key.blob("rawBytes"), hint[:4], _validity(key))


def _authority(fields: Object) -> Authority:
    path = fields.object("certChain").objects("certificates", 10)
    if not path:
        raise SignatureRefusal(f"{fields.path} has no certificates")
    certificates = []
    for each in path:
        with about(each.path):
            certificates.append(certificate.parse(each.blob("rawBytes")))
    return Authority(tuple(certificates), _validity(fields))


def _validity(fields: Object) -> Validity:
    """Returns the interval `validFor`, which has to have a start (sigstore_common.proto, TimeRange)."""
    interval = fields.object("validFor").only("start", "end")
    return Validity(_time(interval, "start"), _time(interval, "end") if interval.has("end") else None)


def _time(fields: Object, name: str) -> datetime:
    match = _TIME.fullmatch(fields.text(name))
    if not match:
        raise SignatureRefusal(f"{fields.path}.{name} is not a time (2025-01-31T00:00:00Z)")
    with about(f"{fields.path}.{name}"):
        whole = datetime.fromisoformat(match[1])
    return whole.replace(microsecond=int((match[2] or "").ljust(6, "0")[:6]), tzinfo=UTC)
