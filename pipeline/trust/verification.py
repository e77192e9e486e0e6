"""Verification: the signers of an image that a rule needs, out of evidence alone. No socket, no clock."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.trust import evidence as evidences
from pipeline.trust import policy
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.evidence import Evidence, Kind
from pipeline.trust.signer import Signer

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PREDICATES = ("", "https://sigstore.dev/cosign/sign/v1")
"""Types of statements that are signatures of an image; "" for a signature of the manifest itself. An attestation, such
as an SBOM, is a statement about it, and may be a bad one."""
FORMS: Mapping[str, Sequence[Kind]] = {
    "cosign": ("sigstore", "cosign"),
    "keyless": ("sigstore", "cosign"),
    "notation": ("notation",),
}
"""Kinds of a rule's signers -> kinds of their signatures."""
SHOWN = 3
"""Maximum number of faults in a message."""


class Claim(NamedTuple):
    """A signature for `subject`, a digest. time: as of which it is verified, in seconds since 1970 UTC."""

    subject: str
    evidence: Evidence
    time: int


class Verified(NamedTuple):
    """A claim that holds. until: last time at which it does, in seconds since 1970 UTC; None for ever."""

    claim: Claim
    signer: Signer
    until: int | None = None


class Outcome(NamedTuple):
    """The claims that hold for a rule. faults: why the others do not, a line each."""

    verified: tuple[Verified, ...]
    faults: tuple[str, ...]

    @property
    def signers(self) -> int:
        """The number of different signers."""
        return policy.different(each.signer for each in self.verified)

    def described(self) -> str:
        """Returns some faults, for a message."""
        return "; ".join(dict.fromkeys(self.faults[:SHOWN]))


def verify(rule: Mapping[str, Any], claims: Iterable[Claim], manifest: str, documents: Mapping[str, bytes]) -> Outcome:
    """Returns the `claims` that hold for `manifest` under `rule`, and why the others do not.

    rule: as `parameter` gives it. documents: indexes and manifests by digest, which is checked.
    """
    verified, faults = [], []
    for claim in claims:
        try:
            if evidences.way(claim.subject, manifest, documents) is None:
                raise SignatureRefusal("not of this image")
            verified.append(_by_any(rule["signers"], claim, documents))
        except SignatureRefusal as error:
            faults.append(f"{claim.evidence.kind} signature of {claim.subject[:19]}: {error}")
    return Outcome(tuple(verified), tuple(faults))


def _by_any(signers: Sequence[Mapping[str, Any]], claim: Claim, documents: Mapping[str, bytes]) -> Verified:
    """Returns the claim if it is by one of `signers`; else SignatureRefusal, with what each of them has against it."""
    document = documents.get(claim.subject, b"")
    if not evidences.has_digest(document, claim.subject):
        raise SignatureRefusal("what was signed is not there")
    refusals: dict[str, None] = {}
    for signer in signers:
        if claim.evidence.kind in FORMS[signer["kind"]]:
            try:
                return _verified(signer, claim, document)
            except SignatureRefusal as error:
                refusals[str(error)] = None
    raise SignatureRefusal(", ".join([*refusals][:SHOWN]) or "no signer of the rule signs in this form")


def _verified(signer: Mapping[str, Any], claim: Claim, document: bytes) -> Verified:
    if claim.evidence.kind == "notation":
        return _notation(signer, claim, document)
    return _sigstore(signer, claim, document)


def _notation(signer: Mapping[str, Any], claim: Claim, document: bytes) -> Verified:
    from pipeline.trust import notation, trust_store

    store = trust_store.parse({path: base64.b64decode(data) for path, data in signer["store"].items()})
    artifact = notation.Artifact(_media_type(document), claim.subject, len(document))
    evidence = claim.evidence
    found = notation.verify(evidence.data, evidence.media_type, artifact, store, signer["subject"], claim.time)
    return Verified(claim, found.signer, found.until)


def _sigstore(signer: Mapping[str, Any], claim: Claim, document: bytes) -> Verified:
    from pipeline.trust import bundle, keys, root, simplesigning

    authorities = root.parse(signer["root"].encode()) if "root" in signer else None
    key = keys.load(signer["key"].encode()) if "key" in signer else None
    data, annotations = claim.evidence.data, dict(claim.evidence.annotations)
    if claim.evidence.kind == "cosign":
        found = simplesigning.verify(data, annotations, authorities, key=key)
    else:
        found = bundle.verify(data, authorities, key=key, artifact=document)
    if claim.subject not in found.digests:
        raise SignatureRefusal(f"it is of {', '.join(sorted(found.digests))[:80]}")
    if found.predicate_type not in PREDICATES:
        raise SignatureRefusal(f"a statement of type {found.predicate_type[:80]!a}, which is no signature of an image")
    _check_identity(signer, found.signer)
    return Verified(claim, found.signer)


def _check_identity(signer: Mapping[str, Any], found: Signer) -> None:
    """Returns if a keyless `signer` of a rule means the one that was found; else SignatureRefusal."""
    if "issuer" not in signer:
        return
    allowed = policy.Keyless(
        issuer=signer["issuer"], identity=signer.get("identity"), identity_pattern=signer.get("pattern")
    )
    if found.issuer != allowed.issuer:
        raise SignatureRefusal(f"the issuer of its certificate is {found.issuer[:80]!a}")
    if not allowed.accepts(found.identity):
        raise SignatureRefusal(f"it is by {found.identity[:120]!a}")


def _media_type(document: bytes) -> str:
    """Returns the media type that a manifest or index states; that of image-spec's by its fields if it does not."""
    try:
        fields = json.loads(document)
        stated = fields.get("mediaType")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return stated if isinstance(stated, str) else INDEX if "manifests" in fields else MANIFEST


def lacking(rule: Mapping[str, Any], outcome: Outcome) -> str:
    """Returns a message about a rule that needs more signers than `outcome` has."""
    there = ", ".join(sorted({each.signer.identity for each in outcome.verified}))
    faults = f": {outcome.described()}" if outcome.faults else ""
    message = f"signed by {outcome.signers} of the {rule['need']} signers that the rule {rule['rule']!r} needs"
    return message + (f" ({there})" if there else "") + faults
