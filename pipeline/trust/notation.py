"""Verification of Notary Project signatures (notaryproject/specifications, trust-store-trust-policy.md, "Signature
Verification"), at the level that notation calls strict, but for revocation, which would take the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.trust import certificate, codesigning, cose, countersignature, distinguished_name, document, jws, keys
from pipeline.trust.certificate import Certificate
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import AUTHORITY, LARGEST, Envelope
from pipeline.trust.signer import Signer
from pipeline.trust.trust_store import TrustStore

READERS = {jws.MEDIA_TYPE: jws.parse, cose.MEDIA_TYPE: cose.parse}
"""Media types of envelopes -> their readers."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
"""Content type of the payload."""


class Artifact(NamedTuple):
    """The thing that is signed: a manifest, by its descriptor. size: in bytes."""

    media_type: str
    digest: str
    size: int


class Verified(NamedTuple):
    """A verified signature.

    metadata: annotations that the signer added. until: last time at which it is accepted, in seconds since 1970 UTC;
    None if that is for ever.
    """

    signer: Signer
    metadata: Mapping[str, str]
    until: int | None


def verify(
    unsafe_envelope: bytes, media_type: str, artifact: Artifact, store: TrustStore, subject: str | None, time: int
) -> Verified:
    """Returns the signer of `artifact`. SignatureRefusal.

    media_type: of the envelope. store: certificates that are trusted; if time stamp authorities are among them, a time
    stamp is needed. subject: attributes that the signer's name has (`CN=…,O=…,ST=…,C=…`); None for any signer.
    time: of the verification, in seconds since 1970 UTC.
    """
    if media_type not in READERS:
        raise SignatureRefusal(f"an envelope of type {media_type[:80]!r}: {' and '.join(READERS)} are known")
    envelope = READERS[media_type](unsafe_envelope)
    chain = [certificate.parse(each) for each in envelope.chain]
    _check_integrity(envelope, chain[0])
    metadata = _check_payload(envelope, artifact)
    _check_authenticity(envelope, chain, store)
    if subject is not None:
        distinguished_name.check(chain[0].subject, distinguished_name.identity(subject))
    if envelope.expiry is not None and time >= envelope.expiry:
        raise SignatureRefusal(f"the signature expired at {_moment(envelope.expiry):%Y-%m-%d %H:%M:%S} UTC")
    verified_time = _check_time(envelope, chain, store, time)
    ends = [] if verified_time is not None else [int(each.not_after.timestamp()) for each in chain]
    ends += [] if envelope.expiry is None else [envelope.expiry - 1]
    key = keys.digest(keys.load(chain[0].key))
    signer = Signer("certificate", distinguished_name.text(chain[0].subject), time=verified_time, key=key)
    return Verified(signer, metadata, min(ends, default=None))


def _check_integrity(envelope: Envelope, leaf: Certificate) -> None:
    """Checks that all of `envelope` is understood, and that the key of `leaf` signed it."""
    if envelope.unknown:
        raise SignatureRefusal(f"critical attributes that are not understood: {', '.join(envelope.unknown)}")
    if envelope.content_type != PAYLOAD:
        raise SignatureRefusal(f"a payload of type {envelope.content_type[:80]!r}, not {PAYLOAD}")
    algorithm, _ = codesigning.algorithm(leaf)
    if envelope.algorithm != algorithm:
        raise SignatureRefusal(f"algorithm {envelope.algorithm}, but the key's is {algorithm}")
    codesigning.verify(leaf, envelope.signature, envelope.signed)


def _check_authenticity(envelope: Envelope, chain: Sequence[Certificate], store: TrustStore) -> None:
    """Checks that the certificates belong together, and that one of them is trusted for the signing scheme."""
    codesigning.check_chain(chain)
    trusted = store.signing_authority if envelope.scheme == AUTHORITY else store.ca
    if not {*trusted} & {*envelope.chain}:
        raise SignatureRefusal(f"no certificate of the signer's chain is in the trust store, for {envelope.scheme}")


def _check_time(envelope: Envelope, chain: Sequence[Certificate], store: TrustStore, time: int) -> int | None:
    """Returns the verified time of the signature, at which all certificates were valid; None without one."""
    if envelope.scheme == AUTHORITY:
        codesigning.check_validity(chain, _moment(envelope.time), _moment(envelope.time))
        return envelope.time
    if not store.tsa:
        codesigning.check_validity(chain, _moment(time), _moment(time))
        return None
    first, last = countersignature.verify(envelope.timestamp, envelope.signature, store.tsa)
    codesigning.check_validity(chain, first, last)
    return int(last.timestamp())


def _moment(seconds: int) -> datetime:
    """Returns the time that is `seconds` after 1970. SignatureRefusal for one outside of the years 1 to 9999."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise SignatureRefusal("a time that no calendar has") from None


def _check_payload(envelope: Envelope, artifact: Artifact) -> dict[str, str]:
    """Checks that the payload is the descriptor of `artifact`. Returns its annotations."""
    payload = document.parse(envelope.payload, LARGEST, "payload").only("targetArtifact")
    descriptor = payload.object("targetArtifact").fields
    size, annotations = descriptor.get("size"), descriptor.get("annotations", {})
    signed = (descriptor.get("mediaType"), descriptor.get("digest"), size)
    if type(size) is not int or signed != artifact:
        raise SignatureRefusal(
            f"it signs {' '.join(str(each)[:80] for each in signed)}, not {' '.join(map(str, artifact))}"
        )
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise SignatureRefusal("annotations of the artifact that are not strings")
    return annotations
