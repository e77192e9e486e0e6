"""Signatures of the images of a spec, in its lock and its file of evidence.

The lock has a record for each signature that counts for a rule: the rule's pattern, the signer, the digest of what was
signed (an index or a manifest), the kind of the signature, the digest of its entry in the file of evidence, the time as
of which builds verify it, and its entry in a log.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.host import atomic
from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.planning import lock as locks
from pipeline.planning.lock import Lock, LockError
from pipeline.planning.trust_policy import Requirement
from pipeline.trust.evidence import LARGEST_FILE, EvidenceFile, way

if TYPE_CHECKING:
    from pipeline.oci.referrers import Search
    from pipeline.trust.verification import Claim, Outcome, Verified

Record = Mapping[str, Any]
Required = Mapping[str, Sequence[Requirement]]
"""Reference -> the rules that have to hold for the image."""


class Untrusted(BadInput):
    """An image that is not signed as a rule needs it."""


class Signed(NamedTuple):
    """A lock, and the evidence of its signatures."""

    lock: Lock
    evidence: EvidenceFile


def parameters(records: Iterable[Record], file: EvidenceFile, manifest: str) -> dict[str, Any]:
    """Returns the signatures that may be of `manifest`, with their evidence, as stages.trusted takes them."""
    documents: dict[str, str] = {}
    signatures = {}
    for record in records:
        path = way(record["subject"], manifest, file.documents)
        if path and record["evidence"] in file.signatures:
            documents |= {each: base64.b64encode(file.documents.get(each, b"")).decode() for each in path}
            signatures[record["evidence"], record["subject"]] = {
                "subject": record["subject"],
                "time": locks.seconds(record["time"]),
                "evidence": file.signatures[record["evidence"]].document(),
            }
    return {"signatures": [signatures[key] for key in sorted(signatures)], "documents": documents}


def without_others(lock: Lock, required: Required) -> Lock:
    """Returns `lock` without the signatures of images that no rule is about."""
    for reference in lock.images.keys() - required.keys():
        lock = lock.with_signatures(reference, ())
    return lock


def described(signer: Any) -> str:
    """Returns a verified signer (pipeline.trust.signer) as the lock has it: its identity, and who vouched for it."""
    return f"{signer.identity} ({signer.issuer})" if signer.issuer else str(signer.identity)


def write(path: Path, file: EvidenceFile) -> None:
    """Writes a file of evidence atomically, or removes one without entries. An equal file is not touched.

    BadInput if it is too large to be read again.
    """
    if not any(file):
        path.unlink(missing_ok=True)
        return
    text = file.text()
    if len(text) > LARGEST_FILE:
        raise BadInput(f"{path}: signatures and bills of materials of more than {LARGEST_FILE} bytes")
    if not path.exists() or path.read_text() != text:
        with locks.writing:
            atomic.write(path, text)


def verified(known: Signed, reference: str, rule: Requirement) -> list[Verified]:
    """Returns the locked signatures of an image that count for a rule, each once."""
    image = known.lock.images.get(reference, {"platforms": {}})
    manifests = [entry["manifest"] for entry in image["platforms"].values()]
    claims = _claims(known.lock.signatures(reference), known.evidence)
    outcomes = _outcomes([rule], claims, manifests, known.evidence.documents)
    return [*{each.claim: each for _, outcome in outcomes.values() for each in outcome.verified}.values()]


class Signatures:
    """Finds the signatures of images, each image's once, and verifies them as of `now` (seconds since 1970 UTC)."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._searches: dict[tuple[str, tuple[Digest, ...]], Search] = {}

    def update(
        self, known: Signed, required: Required, is_asked: Callable[[str], bool] = lambda reference: False
    ) -> Signed:
        """Returns `known` with the signatures that its images need.

        Signatures that are locked are kept if they are enough, unless `is_asked` (of a reference) is true: then those
        are taken that there are now. Untrusted; LockError if NODEKILN_LOCKED=1 forbids to look for them.
        """
        lock, evidence = known
        for reference in sorted(required.keys() & lock.images.keys()):
            records, more = self._of_image(known, reference, required[reference], is_asked(reference))
            lock, evidence = lock.with_signatures(reference, records), evidence.joined(more)
        return Signed(lock, evidence.only(digests(lock)))

    def _of_image(
        self, known: Signed, reference: str, rules: Sequence[Requirement], is_asked: bool
    ) -> tuple[list[Record], EvidenceFile]:
        """Returns the records of an image's signatures, and their evidence."""
        image = known.lock.images[reference]
        manifests = [entry["manifest"] for _, entry in sorted(image["platforms"].items())]
        records = known.lock.signatures(reference)
        locked = _claims(records, known.evidence)
        outcomes = _outcomes(rules, locked, manifests, known.evidence.documents)
        if not is_asked and not _faults(reference, outcomes):
            return _records(outcomes, records, self._now), known.evidence
        if os.environ.get("NODEKILN_LOCKED") == "1":
            raise LockError(
                f"{reference}: its signatures are not locked (NODEKILN_LOCKED=1 is set: run {user_command('lock')}"
                " without it)"
            )
        return self._found(reference, image.get("index"), manifests, rules, records)

    def _found(
        self,
        reference: str,
        index: Digest | None,
        manifests: Sequence[Digest],
        rules: Sequence[Requirement],
        records: Sequence[Record],
    ) -> tuple[list[Record], EvidenceFile]:
        """Returns the records of the signatures that there are now, and their evidence. Untrusted."""
        from pipeline.oci import referrers
        from pipeline.oci.reference import parse
        from pipeline.trust.verification import Claim

        image = parse(reference)
        subjects = tuple(map(Digest, dict.fromkeys([*([index] if index else []), *manifests])))
        if (reference, subjects) not in self._searches:
            self._searches[reference, subjects] = referrers.find(image, subjects)
        search = self._searches[reference, subjects]
        documents: dict[str, bytes] = {}
        for manifest in manifests if search.signatures else ():
            documents |= referrers.documents(image, Digest(index) if index else None, Digest(manifest))
        claims = [Claim(each.subject, each.evidence, self._now) for each in search.signatures]
        outcomes = _outcomes(rules, claims, manifests, documents)
        if faults := _faults(reference, outcomes):
            raise Untrusted(f"{faults[0]}; {search.described()}")
        evidence = EvidenceFile({each.evidence.digest: each.evidence for each in claims}, documents)
        return _records(outcomes, records, self._now), evidence


Outcomes = Mapping[tuple[int, str], tuple[Requirement, "Outcome"]]
"""Number of a rule, and a manifest -> the rule, and the signatures that count for it."""


def _outcomes(
    rules: Sequence[Requirement], claims: Sequence[Claim], manifests: Sequence[str], documents: Mapping[str, bytes]
) -> Outcomes:
    from pipeline.trust import verification

    return {
        (number, manifest): (rule, verification.verify(rule.parameter(), claims, manifest, documents))
        for number, rule in enumerate(rules)
        for manifest in manifests
    }


def _faults(reference: str, outcomes: Outcomes) -> list[str]:
    """Returns a line for each rule that does not hold for a manifest."""
    from pipeline.trust import verification

    return [
        f"{rule.place}: {reference}: {verification.lacking(rule.parameter(), outcome)}"
        for rule, outcome in outcomes.values()
        if outcome.signers < rule.need
    ]


def _claims(records: Iterable[Record], file: EvidenceFile) -> list[Claim]:
    from pipeline.trust.verification import Claim

    return [
        Claim(each["subject"], file.signatures[each["evidence"]], locks.seconds(each["time"]))
        for each in records
        if each["evidence"] in file.signatures
    ]


def _records(outcomes: Outcomes, before: Sequence[Record], now: int) -> list[Record]:
    """Returns the records of verified signatures, sorted: of each signer the one of `before`, else one of them.

    before: earlier records, whose times are kept.
    """
    times = {_key(each): each["time"] for each in before}
    chosen: dict[tuple[str, str, str], tuple[bool, str, Record]] = {}
    for rule, outcome in outcomes.values():
        for each in outcome.verified:
            record = _record(rule.rule, each, now)
            record = {**record, "time": times.get(_key(record), record["time"])}
            rank = (_key(record) not in times, record["evidence"], record)
            slot = (record["rule"], record["signer"], record["subject"])
            chosen[slot] = min(chosen.get(slot, rank), rank, key=lambda item: item[:2])
    return [record for _, (_, _, record) in sorted(chosen.items())]


def _key(record: Record) -> tuple[str, str, str]:
    return record["rule"], record["subject"], record["evidence"]


def _record(rule: str, verified: Verified, now: int) -> dict[str, Any]:
    signer, claim = verified.signer, verified.claim
    is_logged = signer.log_id is not None
    return {
        "rule": rule,
        "signer": described(signer),
        "subject": claim.subject,
        "kind": claim.evidence.kind,
        "evidence": claim.evidence.digest,
        "time": datetime.fromtimestamp(now if signer.time is None else signer.time, UTC).strftime(locks.TIME),
        "log": f"{signer.log_id}:{signer.log_index}" if is_logged else None,
    }


def digests(lock: Lock) -> set[str]:
    """Returns the digests in a file of evidence that the signatures and bills of materials of `lock` need."""
    digests = set()
    for reference, image in lock.images.items():
        bills = lock.bills(reference) or ()
        digests |= {record["digest"] for record in bills} | {each["evidence"] for each in lock.signatures(reference)}
        for record in (*lock.signatures(reference), *bills):
            digests |= {record["subject"], image.get("index")}
            digests |= {entry["manifest"] for entry in image["platforms"].values()}
    return digests
