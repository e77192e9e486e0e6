"""Envelopes (DSSE 1.0) and their statements (in-toto attestation, v1 and v0.1), cosign's signatures among them."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.model.digest import is_digest
from pipeline.trust import document
from pipeline.trust.error import SignatureRefusal, about

PAYLOAD_TYPE = "application/vnd.in-toto+json"
TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
"""Predicate type of a signature of an image, which states nothing but its subject (cosign 3)."""
LARGEST = 4 << 20
"""Maximum size of a statement, in bytes."""
SUBJECTS = 10_000
"""Maximum number of a statement's subjects."""


class Statement(NamedTuple):
    """A statement. predicate_type: a URI. digests: of its subjects, as algorithm:hex, for algorithms of images."""

    predicate_type: str
    digests: frozenset[str]


def encode(payload_type: str, payload: bytes) -> bytes:
    """Returns the bytes that a signature of an envelope is of (DSSE protocol, PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def parse(unsafe_payload: bytes) -> Statement:
    """Returns the statement in `unsafe_payload` (in-toto attestation, spec/v1/statement.md). SignatureRefusal."""
    with about("statement"):
        fields = document.parse(unsafe_payload, LARGEST)
        if fields.text("_type") not in TYPES:
            raise SignatureRefusal(f"_type is not {TYPES[0]}")
        subjects = fields.objects("subject", SUBJECTS)
        named = [_digests(subject.object("digest")) for subject in subjects]
        if not subjects or not all(named):
            raise SignatureRefusal("it has no subjects, or one without a digest of SHA-256 or SHA-512")
        return Statement(fields.text("predicateType"), frozenset().union(*named))


def _digests(fields: document.Object) -> frozenset[str]:
    return frozenset(text for name, value in fields.fields.items() if is_digest(text := f"{name}:{value}"))
