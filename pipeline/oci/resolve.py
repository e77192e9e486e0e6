"""Resolution: the digests that a reference stands for now, per architecture, in the form of a lock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.model.digest import Digest
from pipeline.oci import config as configs
from pipeline.oci import fetch, mirror
from pipeline.oci import manifest as manifests
from pipeline.oci.error import NotFound, Refusal
from pipeline.oci.fetch import FetchedManifest
from pipeline.oci.manifest import CONFIG_LIMIT, INDEXES, Descriptor, Manifest, Platform
from pipeline.oci.reference import Reference, parse
from pipeline.oci.source import Source, sources

NESTING = 4
"""Maximum depth of indexes inside indexes."""
INDEXES_LIMIT = 64
"""Maximum number of nested indexes that are read for one architecture."""


class PlatformImage(NamedTuple):
    manifest: Digest
    config: Descriptor
    layers: tuple[Descriptor, ...]
    fields: configs.Config
    """The content of `config`."""

    def document(self) -> dict[str, Any]:
        return {
            "manifest": self.manifest,
            "config": self.config.document(),
            "layers": [layer.document() for layer in self.layers],
            "facts": configs.locked_fields(self.fields),
        }


@dataclass(frozen=True)
class Resolution:
    """The digests of a reference. `index` is None if it names the manifest of a single platform."""

    reference: str
    index: Digest | None
    platforms: dict[str, PlatformImage]
    """By requested architecture."""

    def document(self) -> dict[str, Any]:
        """Returns `{"reference", "index", "platforms": {arch: {"manifest", "config", "layers", "facts"}}}`."""
        platforms = {name: image.document() for name, image in sorted(self.platforms.items())}
        return {"reference": self.reference, "index": self.index, "platforms": platforms}


def resolve(reference: str, architectures: Sequence[str], mirrors: mirror.Mirrors | None = None) -> Resolution:
    """Resolves `reference` for each of `architectures` (`amd64`, `arm64`, `arm/v7`).

    Only manifests and configs are fetched. ImageError names the reference and the fault.
    """
    image = parse(reference)
    places = sources(image, mirrors)
    top = fetch.manifest(places, image.wanted, str(image))
    places = [top.source, *(place for place in places if place is not top.source)]
    index = None if isinstance(top.document, Manifest) else top.digest
    platforms = {name: _platform(top, places, image, manifests.parse_platform(name)) for name in architectures}
    return Resolution(str(image), index, platforms)


def _platform(top: FetchedManifest, places: Sequence[Source], image: Reference, platform: Platform) -> PlatformImage:
    fetched = top
    if not isinstance(top.document, Manifest):
        entry = _choose(top, places, image, platform)
        fetched = fetch.manifest(places, entry.digest, f"{image} for {platform}")
        if not isinstance(fetched.document, Manifest):
            raise Refusal(f"{image}: {entry.digest} is an index, although its parent lists it as a manifest")
    manifest = fetched.document
    assert isinstance(manifest, Manifest)
    manifests.check_image(manifest, str(image))
    subject = f"{image}: config {manifest.config.digest}"
    fields = configs.parse(fetch.small(places, manifest.config, CONFIG_LIMIT, subject), subject)
    stated = fields["os"] or "linux", fields["architecture"]
    if fields["architecture"] and stated != (platform.os, platform.architecture):
        raise NotFound(f"{image} is for {fields['os']}/{fields['architecture']}, not for {platform}")
    return PlatformImage(fetched.digest, manifest.config, manifest.layers, fields)


def _choose(top: FetchedManifest, places: Sequence[Source], image: Reference, platform: Platform) -> Descriptor:
    """Returns the manifest for `platform` in the index `top` or in its nested indexes. NotFound."""
    entries = list(_manifests(top, places, image, platform))
    if entry := manifests.choose(entries, platform):
        return entry
    unspecific = [entry for entry in entries if not entry.platform and not entry.attestation]
    if len(unspecific) != 1:
        raise NotFound(f"{image} is not there for {platform}, only for: {manifests.platforms(entries)}")
    return unspecific[0]


def _manifests(
    top: FetchedManifest, places: Sequence[Source], image: Reference, platform: Platform
) -> Iterable[Descriptor]:
    """Yields the manifests of an index and of its nested indexes that may hold `platform`, in order."""
    known = {top.digest}
    todo = [(0, entry) for entry in reversed(_index(top))]
    while todo:
        depth, entry = todo.pop()
        if entry.media_type not in INDEXES:
            yield entry
            continue
        if entry.digest in known or (entry.platform and entry.platform[:2] != platform[:2]):
            continue
        known.add(entry.digest)
        if depth >= NESTING or len(known) > INDEXES_LIMIT:
            raise Refusal(f"{image}: more than {NESTING} indexes inside each other, or {INDEXES_LIMIT} in all")
        nested = fetch.manifest(places, entry.digest, f"{image}: index {entry.digest}")
        todo += [(depth + 1, inner) for inner in reversed(_index(nested))]


def _index(fetched: FetchedManifest) -> manifests.Index:
    if isinstance(fetched.document, Manifest):
        raise Refusal(f"{fetched.digest} from {fetched.source} is a manifest, although its parent lists it as an index")
    return fetched.document
