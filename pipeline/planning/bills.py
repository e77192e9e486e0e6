"""Bills of materials of a spec's images (`build.sbom`), in its lock and its file of evidence.

The lock has a record for each: the digest of the index or manifest that it is a referrer of, its media type, and its
own digest, under which the file of evidence has its bytes. An image without one has an empty list.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.host.user_command import user_command
from pipeline.language.problem import Problem
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.planning.lock import Lock, LockError
from pipeline.trust.evidence import EvidenceFile, way

if TYPE_CHECKING:
    from pipeline.oci.referrers import FoundBill
    from pipeline.planning.signatures import Signed
    from pipeline.spec.spec import Spec

EXTERNAL = "external"
PATH = ("build", "sbom")


class NoBill(BadInput):
    """An image without the bill of materials that it has to have, or with one that is refused."""


class WantedBills:
    """The images of a spec whose bills of materials are wanted.

    places: reference -> the place in the spec that asks for them, of the images that were planned so far.
    """

    def __init__(self, spec: Spec) -> None:
        from pipeline.oci import reference as references

        self._spec, self._value = spec, spec.build.sbom
        self._listed: dict[str, int] = {}
        if self._value not in (None, EXTERNAL):
            self._listed = {references.expand(each): number for number, each in enumerate(self._value or ())}
        self.places: dict[str, str] = {}

    def want(self, reference: str) -> str | None:
        """Returns the place in the spec that asks for the bills of an image; None if nothing does."""
        if self._value is None or (self._listed and reference not in self._listed):
            return None
        self.places[reference] = str(self._spec.where(self._path(reference)))
        return self.places[reference]

    def is_needed(self, reference: str) -> bool:
        """Returns whether an image has to have a bill."""
        return reference in self._listed

    def problems(self) -> Iterator[Problem]:
        """Yields a problem for each image of the list that the spec does not have; all its images are planned."""
        for reference in self._listed.keys() - self.places.keys():
            message = f"build.sbom: the spec has no image {reference} from a registry or a layout"
            yield Problem(self._spec.where(self._path(reference)), message, "name one of its images")

    def _path(self, reference: str) -> tuple[str | int, ...]:
        return (*PATH, self._listed[reference]) if reference in self._listed else PATH


def parameter(
    records: Sequence[Mapping[str, Any]] | None,
    reference: str,
    image: Mapping[str, Any] | None,
    file: Callable[[], EvidenceFile],
) -> list[dict[str, str]] | None:
    """Returns the bills of an image as stages.bills takes them; None if they are not locked.

    image: what the lock has of it for one architecture. file: reads the file of evidence.
    """
    if records is None or image is None:
        return None
    evidence = file() if records else EvidenceFile()
    if any(each["digest"] not in evidence.bills for each in records):
        return None
    wanted = [each for each in records if way(each["subject"], image["manifest"], evidence.documents)]
    return [
        {"mediaType": each["mediaType"], "contents": base64.b64encode(evidence.bills[each["digest"]]).decode()}
        for each in sorted(wanted, key=lambda each: each["digest"])
    ]


def update(known: Signed, wanted: WantedBills, is_asked: Callable[[str], bool] = lambda reference: False) -> Signed:
    """Returns `known` with the bills of its images that are wanted, and without others.

    Bills that are locked are kept, unless `is_asked` (of a reference) is true: then those are taken that there are now.
    NoBill; LockError if NODEKILN_LOCKED=1 forbids to look for them.
    """
    from pipeline.planning import signatures

    lock, evidence = known
    for reference in sorted(lock.images):
        if reference not in wanted.places:
            lock = lock.with_bills(reference, None)
        elif is_asked(reference) or not _is_locked(lock, evidence, reference):
            bills, documents = _find(lock, reference, wanted)
            lock = lock.with_bills(reference, [_record(each) for each in bills])
            contents: dict[str, bytes] = {Digest.of(each.data): each.data for each in bills}
            evidence = evidence.joined(EvidenceFile({}, documents, contents))
    return signatures.Signed(lock, evidence.only(signatures.digests(lock)))


def packages(known: Signed, reference: str) -> int:
    """Returns the number of packages that the locked bills of an image name."""
    from pipeline.packages import bill

    records = known.lock.bills(reference) or ()
    return len({row for each in records for row in bill.parse(known.evidence.bills[each["digest"]], each["mediaType"])})


def _is_locked(lock: Lock, evidence: EvidenceFile, reference: str) -> bool:
    records = lock.bills(reference)
    return records is not None and all(each["digest"] in evidence.bills for each in records)


def _find(lock: Lock, reference: str, wanted: WantedBills) -> tuple[tuple[FoundBill, ...], dict[str, bytes]]:
    """Returns the bills that there are now, and the indexes between an image's index and its manifests. NoBill."""
    from pipeline.oci import referrers
    from pipeline.oci.reference import parse
    from pipeline.packages import bill

    if os.environ.get("NODEKILN_LOCKED") == "1":
        raise LockError(
            f"{reference}: its bills of materials are not locked (NODEKILN_LOCKED=1 is set: run {user_command('lock')}"
            " without it)"
        )
    image, place = lock.images[reference], f"{wanted.places[reference]}: {reference}"
    index, manifests = image.get("index"), [entry["manifest"] for _, entry in sorted(image["platforms"].items())]
    subjects = tuple(map(Digest, dict.fromkeys([*([index] if index else []), *manifests])))
    search = referrers.bills(parse(reference), subjects, bill.MEDIA_TYPES, bill.SIZE_LIMIT)
    if search.faults:
        raise NoBill(f"{place}: its bills of materials cannot all be read; {search.described()}")
    if wanted.is_needed(reference) and not search.bills:
        raise NoBill(f"{place}: no bill of materials (SPDX or CycloneDX, as a referrer); {search.described()}")
    for each in search.bills:
        try:
            bill.parse(each.data, each.media_type)
        except bill.BillRefusal as error:
            raise NoBill(f"{place}: the bill of materials {Digest.of(each.data)}: {error}") from None
    documents: dict[str, bytes] = {}
    for manifest in manifests if search.bills else ():
        documents |= referrers.documents(parse(reference), Digest(index) if index else None, Digest(manifest))
    return search.bills, documents


def _record(bill: FoundBill) -> dict[str, str]:
    return {"subject": bill.subject, "mediaType": bill.media_type, "digest": Digest.of(bill.data)}
