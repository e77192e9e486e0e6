"""Resolve: what a reference means today, per architecture, as the lock file keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.model.digest import Digest
from pipeline.oci import config as configs
from pipeline.oci import fetch, mirror
from pipeline.oci import manifest as manifests
from pipeline.oci.error import NotFound, Refusal
from pipeline.oci.manifest import CONFIG_LIMIT, INDEXES, Descriptor, Manifest, Platform
from pipeline.oci.reference import Reference, parse
from pipeline.oci.source import Source, sources

NESTING = 4
"""Indexes inside indexes."""
DOCUMENTS = 64
"""Nested indexes that are looked into for one architecture."""


class PlatformImage(NamedTuple):
    """One platform of an image."""

    manifest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    facts: configs.Config

    def document(self) -> dict[str, Any]:
        return {
            "manifest": self.manifest,
            "config": self.config.document(),
            "layers": [layer.document() for layer in self.layers],
            "facts": configs.facts(self.facts),
        }


@dataclass(frozen=True)
class Resolution:
    """What a reference means. `index` is None where it names the manifest of a single platform."""

    reference: str
    index: Digest | None
    platforms: dict[str, PlatformImage]
    """By the architecture that was asked for."""

    def document(self) -> dict[str, Any]:
        """As JSON: `{"reference", "index", "platforms": {arch: {"manifest", "config", "layers", "facts"}}}`."""
        platforms = {name: locked.document() for name, locked in sorted(self.platforms.items())}
        return {"reference": self.reference, "index": self.index, "platforms": platforms}


def resolve(reference: str, architectures: Sequence[str], mirrors: mirror.Mirrors | None = None) -> Resolution:
    """What `reference` means now for each of `architectures` (`amd64`, `arm64`, `arm/v7`).

    Only manifests and configs are fetched. ImageError names the reference and what is wrong or missing.
    """
    image = parse(reference)
    places = sources(image, mirrors)
    top = fetch.manifest(places, image.wanted, str(image))
    single = isinstance(top.document, Manifest)
    platforms = {name: _platform(top, places, image, manifests.wanted(name)) for name in architectures}
    return Resolution(str(image), None if single else top.digest, platforms)


def _platform(top: fetch.FetchedManifest, places: Sequence[Source], image: Reference, asked: Platform) -> PlatformImage:
    if isinstance(top.document, Manifest):
        digest, found = top.digest, top.document
    else:
        entry = _chosen(top, places, image, asked)
        fetched = fetch.manifest(_nearest(top, places), entry.digest, f"{image} for {asked}")
        if not isinstance(fetched.document, Manifest):
            raise Refusal(f"{image}: {entry.digest} is an index that its parent calls a manifest")
        digest, found = fetched.digest, fetched.document
    manifests.check_image(found, str(image))
    what = f"{image}: config {found.config.digest}"
    facts = configs.parse(fetch.small(_nearest(top, places), found.config, CONFIG_LIMIT, what), what)
    if facts["architecture"] and (facts["os"] or "linux", facts["architecture"]) != (asked.os, asked.architecture):
        raise NotFound(f"{image} is for {facts['os']}/{facts['architecture']}, not for {asked}")
    return PlatformImage(digest, found.config, found.layers, facts)


def _chosen(top: fetch.FetchedManifest, places: Sequence[Source], image: Reference, asked: Platform) -> Descriptor:
    """The manifest for `asked`, in the index `top` or in the indexes that it lists."""
    entries = list(_flat(top, places, image, asked))
    entry = manifests.choose(entries, asked)
    if entry is None and len(bare := [entry for entry in entries if not entry.platform and not entry.attestation]) == 1:
        entry = bare[0]
    if entry is None:
        raise NotFound(f"{image} is not there for {asked}, only for: {manifests.platforms(entries)}")
    return entry


def _flat(
    top: fetch.FetchedManifest, places: Sequence[Source], image: Reference, asked: Platform
) -> Iterable[Descriptor]:
    """The manifests of an index and of the indexes inside it, in order."""
    seen = {top.digest}
    todo = [(0, entry) for entry in reversed(_index(top))]
    while todo:
        depth, entry = todo.pop()
        if entry.media_type not in INDEXES:
            yield entry
            continue
        if entry.digest in seen or (entry.platform and entry.platform[:2] != asked[:2]):
            continue
        seen.add(entry.digest)
        if depth >= NESTING or len(seen) > DOCUMENTS:
            raise Refusal(f"{image}: more than {NESTING} indexes inside each other, or {DOCUMENTS} in all")
        nested = fetch.manifest(_nearest(top, places), entry.digest, f"{image}: index {entry.digest}")
        todo += [(depth + 1, inner) for inner in reversed(_index(nested))]


def _index(fetched: fetch.FetchedManifest) -> manifests.Index:
    if isinstance(fetched.document, Manifest):
        raise Refusal(f"{fetched.digest} from {fetched.source} is a manifest that its parent calls an index")
    return fetched.document


def _nearest(top: fetch.FetchedManifest, places: Sequence[Source]) -> list[Source]:
    """Ask where the first answer came from, then the others."""
    return [top.source, *(place for place in places if place is not top.source)]
