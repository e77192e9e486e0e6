"""Signatures and bills of materials of an image, found and fetched. Digests are verified here; signatures are not
(pipeline.trust).

| where | kept by |
|---|---|
| the referrers API (distribution-spec v1.1, "Listing Referrers") | cosign 3, notation, registries of today |
| the tag `sha256-HEX`, an index (the same, "Referrers Tag Schema") | the same, where a registry lacks that API |
| the tag `sha256-HEX.sig`, a manifest (cosign, SIGNATURE_SPEC.md) | cosign 1 and 2 |
| a layout: these names in its index.json, or manifests without a name there | `cosign save`, oras |

Lists are not believed: each manifest in them is opened, whatever artifact type its descriptor states, and the media
type of a layer decides. All sources of an image are asked, since a mirror may have the image and not its signatures.
A bill of materials is a referrer that states its subject: nothing else ties it to the image.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.model.digest import Digest, is_digest
from pipeline.oci import fetch, mirror
from pipeline.oci import manifest as manifests
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.layout import Layout
from pipeline.oci.manifest import INDEXES, MANIFESTS, Descriptor, Manifest
from pipeline.oci.reference import Reference
from pipeline.oci.registry import Registry
from pipeline.oci.source import Source, sources
from pipeline.trust.evidence import ANNOTATIONS, KINDS, Evidence

BILLS_LIMIT = 16
"""Maximum number of bills of materials of an image."""
SIGNATURES_LIMIT = 100
"""Maximum number of signatures of an image (CVE-2023-33957)."""
SIGNATURE_LIMIT = 4 << 20
"""Maximum size of a signature, in bytes."""
TOTAL_LIMIT = 64 << 20
"""Maximum size of all signatures (or bills) of an image and of their manifests, in bytes."""
REFERRERS_LIMIT = 1000
"""Maximum number of manifests that are opened to look for signatures of an image: most hold SBOMs and the like."""
PAGES_LIMIT = 32
"""Maximum number of pages of the referrers API."""
SHOWN = 3
"""Maximum number of faults in a message."""


class FoundSignature(NamedTuple):
    """A signature. subject: digest of the manifest or index that it was found for. source: where."""

    subject: Digest
    evidence: Evidence
    source: str


class FoundBill(NamedTuple):
    """A bill of materials. subject: digest of the manifest or index that it is a referrer of."""

    subject: Digest
    media_type: str
    data: bytes


class Search(NamedTuple):
    """The signatures of an image. asked: sources. faults: what could not be read, each in a line."""

    signatures: tuple[FoundSignature, ...]
    asked: tuple[str, ...]
    faults: tuple[str, ...]

    def described(self) -> str:
        """Returns the sources that were asked, and some faults, for a message."""
        return _described(self.asked, self.faults)


class BillSearch(NamedTuple):
    """The bills of materials of an image, sorted by subject and digest. asked, faults: as of Search."""

    bills: tuple[FoundBill, ...]
    asked: tuple[str, ...]
    faults: tuple[str, ...]

    def described(self) -> str:
        """Returns the sources that were asked, and some faults, for a message."""
        return _described(self.asked, self.faults)


def _described(asked: Sequence[str], faults: Sequence[str]) -> str:
    return f"asked: {', '.join(asked)}" + "".join(f"; {each}" for each in faults[:SHOWN])


def find(image: Reference, subjects: Sequence[Digest], mirrors: mirror.Mirrors | None = None) -> Search:
    """Returns the signatures of `subjects`, digests of an image's index and manifests, from all sources of `image`.

    Refusal beyond the limits. What cannot be read, as from a mirror that does not answer, is a fault in the result.
    """
    places = sources(image, mirrors)
    search = _Search(_SIGNATURES)
    search.look(places, subjects)
    return Search(tuple(search.found.values()), tuple(map(str, places)), tuple(dict.fromkeys(search.faults)))


def bills(
    image: Reference,
    subjects: Sequence[Digest],
    media_types: Container[str],
    size: int,
    mirrors: mirror.Mirrors | None = None,
) -> BillSearch:
    """Returns the bills of materials of `subjects`, from all sources of `image`, as `find` does with signatures.

    size: maximum size of one, in bytes. Refusal beyond the limits.
    """
    places = sources(image, mirrors)
    search = _Search(_Wanted("bills of materials", media_types, BILLS_LIMIT, size, (_by_api, _by_tag, _by_layout)))
    search.look(places, subjects)
    found = (FoundBill(each.subject, each.evidence.media_type, each.evidence.data) for each in search.found.values())
    rows = sorted(found, key=lambda each: (each.subject, Digest.of(each.data)))
    return BillSearch(tuple(rows), tuple(map(str, places)), tuple(dict.fromkeys(search.faults)))


def documents(
    image: Reference, index: Digest | None, manifest: Digest, mirrors: mirror.Mirrors | None = None
) -> dict[str, bytes]:
    """Returns `manifest` and the indexes that lead to it from `index`, by digest. Refusal if it is not in there."""
    places = sources(image, mirrors)
    todo: list[tuple[Digest, tuple[Digest, ...]]] = [(index or manifest, ())]
    known: dict[Digest, bytes] = {}
    while todo:
        digest, above = todo.pop()
        if digest in known or len(known) >= REFERRERS_LIMIT:
            continue
        fetched = fetch.manifest(places, digest, f"{image}: {digest}")
        known[digest] = fetched.data
        if digest == manifest:
            return {each: known[each] for each in (*above, manifest)}
        for entry in () if isinstance(fetched.document, Manifest) else fetched.document:
            if entry.digest == manifest or entry.media_type in INDEXES:
                todo.append((entry.digest, (*above, digest)))
    raise Refusal(f"{image}: the index {index} does not list {manifest}")


class _Search:
    """A search in progress, with what is left of its limits."""

    def __init__(self, wanted: _Wanted) -> None:
        self.found: dict[tuple[Digest, Digest], FoundSignature] = {}
        self.faults: list[str] = []
        self._wanted = wanted
        self._opened: set[tuple[Digest, Digest]] = set()
        self._bytes = 0

    def look(self, places: Iterable[Source], subjects: Sequence[Digest]) -> None:
        """Adds what `places` have of `subjects`."""
        for source in places:
            for subject in subjects:
                self._look(source, subject)

    def _look(self, source: Source, subject: Digest) -> None:
        for listing in self._wanted.listings:
            try:
                for candidate in listing(source, subject):
                    self._open(source, subject, candidate)
            except NotFound:
                continue
            except _BeyondLimit as error:
                raise Refusal(str(error)) from None
            except ImageError as error:
                self.faults.append(str(error))

    def _open(self, source: Source, subject: Digest, candidate: _Candidate) -> None:
        """Adds what is wanted in the manifest `candidate`, unless it states another subject."""
        if (subject, candidate.digest) in self._opened:
            return
        self._opened.add((subject, candidate.digest))
        _limit(len(self._opened) <= REFERRERS_LIMIT, f"{source}: more than {REFERRERS_LIMIT} referrers of {subject}")
        try:
            fetched = fetch.manifest([source], candidate.digest, f"{source}: referrer of {subject}")
            self._count(source, len(fetched.data))
            if not isinstance(fetched.document, Manifest):
                return
            unsafe = manifests.decode(fetched.data, str(source))
            stated = _subject(unsafe)
            if stated == subject or (stated is None and candidate.may_lack_subject and self._wanted.may_lack_subject):
                for layer, annotations in zip(fetched.document.layers, _annotations(unsafe), strict=True):
                    self._take(source, subject, layer, annotations)
            elif not candidate.may_lack_subject:
                self.faults.append(f"{source}: {candidate.digest} is listed for {subject}, and states {stated}")
        except _BeyondLimit:
            raise
        except ImageError as error:
            self.faults.append(str(error))

    def _take(
        self, source: Source, subject: Digest, layer: Descriptor, annotations: tuple[tuple[str, str], ...]
    ) -> None:
        noun, media_types, number, size = self._wanted[:4]
        if layer.media_type not in media_types:
            return
        _limit(len(self.found) < number, f"{source}: more than {number} {noun} of {subject}")
        self._count(source, layer.size)
        data = fetch.small([source], layer, size, f"{source}: {noun} of {subject}")
        evidence = Evidence(layer.media_type, data, annotations)
        self.found.setdefault((subject, evidence.digest), FoundSignature(subject, evidence, str(source)))

    def _count(self, source: Source, size: int) -> None:
        self._bytes += size
        _limit(self._bytes <= TOTAL_LIMIT, f"{source}: {self._wanted.noun} of more than {TOTAL_LIMIT} bytes")


class _BeyondLimit(ImageError):
    """A limit of the whole search was exceeded."""


class _Candidate(NamedTuple):
    """A manifest that may hold signatures. may_lack_subject: it is listed by a name, or may be anything."""

    digest: Digest
    may_lack_subject: bool = False


class _Wanted(NamedTuple):
    """The object of a search. number, size: its limits. listings: the places that are looked into.

    may_lack_subject: a manifest that states no subject counts where it is listed by a name.
    """

    noun: str
    media_types: Container[str]
    number: int
    size: int
    listings: Sequence[Callable[[Source, Digest], Iterator[_Candidate]]]
    may_lack_subject: bool = False


def _limit(is_kept: bool, message: str) -> None:
    if not is_kept:
        raise _BeyondLimit(message)


def _by_api(source: Source, subject: Digest) -> Iterator[_Candidate]:
    if isinstance(source, Registry):
        for number, page in enumerate(source.referrers(subject)):
            _limit(number < PAGES_LIMIT, f"{source}: more than {PAGES_LIMIT} pages of referrers of {subject}")
            yield from _entries(manifests.parse(page, f"{source}: referrers of {subject}", INDEXES[0]))


def _by_tag(source: Source, subject: Digest) -> Iterator[_Candidate]:
    """Yields what the index under the fallback tag lists."""
    if isinstance(source, Registry):
        yield from _entries(fetch.manifest([source], tag(subject), f"{source}: {tag(subject)}").document)
    elif isinstance(source, Layout):
        for entry in _named(source, tag(subject)):
            document = fetch.manifest([source], entry.digest, f"{source}: {tag(subject)}").document
            yield from _entries(document)


def _by_cosign_tag(source: Source, subject: Digest) -> Iterator[_Candidate]:
    name = f"{tag(subject)}.sig"
    if isinstance(source, Registry):
        yield _Candidate(fetch.manifest([source], name, f"{source}: {name}").digest, may_lack_subject=True)
    elif isinstance(source, Layout):
        yield from (_Candidate(entry.digest, may_lack_subject=True) for entry in _named(source, name))


def _by_layout(source: Source, subject: Digest) -> Iterator[_Candidate]:
    """Yields the manifests without a name in a layout. One that states no subject may be the result of `cosign save`,
    which lists the manifest of a `.sig` tag without that name.
    """
    if isinstance(source, Layout):
        unnamed = [entry for entry in source.entries() if not entry.name and entry.media_type in MANIFESTS]
        yield from (_Candidate(entry.digest, may_lack_subject=True) for entry in unnamed if entry.digest != subject)


_LISTINGS = (_by_api, _by_tag, _by_cosign_tag, _by_layout)
"""The places where signatures are, in the order in which they are looked into."""
_SIGNATURES = _Wanted("signatures", KINDS, SIGNATURES_LIMIT, SIGNATURE_LIMIT, _LISTINGS, may_lack_subject=True)


def tag(subject: Digest) -> str:
    """Returns the tag of an image's referrers, for registries without their API: `sha256-HEX`, of 64 digits at most."""
    return f"{subject.algorithm}-{subject.hex[:64]}"


def _named(layout: Layout, name: str) -> list[Descriptor]:
    """Returns what a layout lists under a tag, alone or behind the repository's name."""
    return [entry for entry in layout.entries() if entry.name == name or entry.name.endswith(f":{name}")]


def _entries(document: Manifest | Iterable[Descriptor]) -> list[_Candidate]:
    if isinstance(document, Manifest):
        return []
    return [_Candidate(entry.digest) for entry in document if entry.media_type not in INDEXES]


def _subject(unsafe_manifest: dict[str, Any]) -> str | None:
    """Returns the digest of the subject that a manifest states; "" for a malformed one; None for none."""
    unsafe_subject = unsafe_manifest.get("subject")
    if unsafe_subject is None:
        return None
    unsafe_digest = unsafe_subject.get("digest") if isinstance(unsafe_subject, dict) else None
    return str(unsafe_digest) if is_digest(unsafe_digest) else ""


def _annotations(unsafe_manifest: dict[str, Any]) -> list[tuple[tuple[str, str], ...]]:
    """Returns, for each layer, those of its annotations that are parts of a signature."""
    result = []
    for unsafe_layer in unsafe_manifest["layers"]:
        unsafe = unsafe_layer.get("annotations")
        known = [(name, unsafe.get(name)) for name in ANNOTATIONS] if isinstance(unsafe, dict) else []
        result.append(tuple(sorted((name, value) for name, value in known if isinstance(value, str))))
    return result
