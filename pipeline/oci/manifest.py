"""Manifest, index, config and platform: the JSON of an image, checked before anything uses it.

image-spec v1.1 (manifest.md, image-index.md, config.md, descriptor.md) and Docker's schema 2, which has the same shape.
Only known fields are copied out; whatever else a document says is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pipeline.model.digest import Digest, InvalidDigest
from pipeline.oci.error import Refusal

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
MANIFESTS = (OCI + "manifest.v1+json", DOCKER + "distribution.manifest.v2+json")
INDEXES = (OCI + "index.v1+json", DOCKER + "distribution.manifest.list.v2+json")
CONFIGS = (OCI + "config.v1+json", DOCKER + "container.image.v1+json")
LAYERS = (
    *(OCI + "layer.v1.tar" + packed for packed in ("", "+gzip", "+zstd")),
    *(DOCKER + "image.rootfs.diff.tar" + packed for packed in ("", ".gzip", ".zstd")),
)
"""Media types of layers; foreign and nondistributable ones, which bring URLs of their own, are none."""

MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest or index: what the distribution specification asks registries to accept."""
CONFIG_LIMIT = 8 << 20
"""Bytes of an image's config: histories of generated images reach hundreds of KiB."""
LAYERS_LIMIT = 1000
"""Layers of an image; Docker stops at 127, overlay file systems at 500."""
LAYER_LIMIT = 1 << 40
"""Bytes that a descriptor may claim: 1 TiB."""
ENTRIES_LIMIT = 10_000
"""Manifests that one index may list."""

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


class Platform(NamedTuple):
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))


class Descriptor(NamedTuple):
    """What names a blob: type, digest and size in bytes (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    name: str = ""
    """Annotation org.opencontainers.image.ref.name, in the index of a layout."""
    attestation: bool = False
    """Something said about an image (BuildKit's provenance, SBOM), not an image."""

    def document(self) -> dict[str, Any]:
        return {"digest": self.digest, "mediaType": self.media_type, "size": self.size}


class Manifest(NamedTuple):
    config: Descriptor
    layers: tuple[Descriptor, ...]


Index = tuple[Descriptor, ...]


def decode(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`. Duplicate keys are refused: readers differ in which one counts."""
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{what}: not JSON that can be trusted: {error}") from None
    if not isinstance(document, dict):
        raise Refusal(f"{what}: a JSON object was expected")
    return document


def parse(data: bytes, what: str, media_type: str = "") -> Manifest | Index:
    """The manifest or index in `data`.

    what: names it in errors. media_type: what the place that gave it says it is ("" where it says nothing); a document
    that says otherwise is refused, and so is one that could be read as both (CVE-2021-41190).
    """
    document = decode(data, what)
    stated = document.get("mediaType", "")
    if stated and media_type and stated != media_type and media_type in MANIFESTS + INDEXES:
        raise Refusal(f"{what}: it came as {media_type}, but says that it is {str(stated)[:100]!r}")
    kind = stated or media_type
    if "manifests" in document and ("layers" in document or "config" in document):
        raise Refusal(f"{what}: has the fields of a manifest and of an index")
    if document.get("schemaVersion") != 2:
        raise Refusal(f"{what}: schemaVersion 2 is needed, not {str(document.get('schemaVersion'))[:20]}")
    if "manifests" in document:
        if kind in MANIFESTS:
            raise Refusal(f"{what}: an index that says that it is {kind}")
        entries = _list(document, "manifests", what, ENTRIES_LIMIT)
        return tuple(descriptor(entry, f"{what}: manifests[{number}]") for number, entry in enumerate(entries))
    if kind in INDEXES or "fsLayers" in document:
        raise Refusal(f"{what}: {kind or 'schema 1'} without manifests")
    layers = _list(document, "layers", what, LAYERS_LIMIT)
    return Manifest(
        descriptor(document.get("config"), f"{what}: config"),
        tuple(descriptor(layer, f"{what}: layers[{number}]") for number, layer in enumerate(layers)),
    )


def descriptor(unsafe: Any, what: str) -> Descriptor:
    """The descriptor in a decoded document, checked."""
    if not isinstance(unsafe, dict):
        raise Refusal(f"{what}: a descriptor was expected")
    media_type, size = unsafe.get("mediaType"), unsafe.get("size")
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):
        raise Refusal(f"{what}: mediaType {str(media_type)[:80]!r} is none")
    if type(size) is not int or not 0 <= size <= LAYER_LIMIT:
        raise Refusal(f"{what}: size {str(size)[:40]} is not between 0 and {LAYER_LIMIT}")
    try:
        digest = Digest.parse(unsafe.get("digest"))
    except InvalidDigest as error:
        raise Refusal(f"{what}: {error}") from None
    annotations = unsafe.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    name = annotations.get("org.opencontainers.image.ref.name", "")
    name = name if isinstance(name, str) else ""
    attestation = "vnd.docker.reference.type" in annotations
    return Descriptor(media_type, digest, size, _platform(unsafe.get("platform"), what), name, attestation)


def check_image(manifest: Manifest, what: str) -> None:
    """Refuse what is no container image (a chart, a signature) or has layers that a registry does not give out."""
    if manifest.config.media_type not in CONFIGS:
        raise Refusal(f"{what}: no container image: its config is {manifest.config.media_type}")
    if manifest.config.size > CONFIG_LIMIT:
        raise Refusal(f"{what}: its config claims {manifest.config.size} bytes; {CONFIG_LIMIT} is the limit")
    for layer in manifest.layers:
        if layer.media_type not in LAYERS:
            raise Refusal(f"{what}: layer {layer.digest} is {layer.media_type}, which registries do not give out")


# platforms

_PREFERRED = {
    "amd64": ("", "v1", "v2", "v3", "v4"),
    "arm64": ("", "v8"),
    "arm": ("v7", "", "v6", "v5"),
}
"""Which variant is taken where none is asked for, the best first; other variants follow in alphabetical order."""
_BELOW = {"amd64": ("v4", "v3", "v2", "v1", ""), "arm": ("v8", "v7", "v6", "v5"), "arm64": ()}
"""Each variant runs what stands after it."""


def wanted(architecture: str) -> Platform:
    """The platform behind `arm64`, `arm/v7` or `linux/arm64/v8`."""
    parts = architecture.removeprefix("linux/").split("/")
    if not 1 <= len(parts) <= 2 or not all(re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", part) for part in parts):
        raise Refusal(f"architecture {architecture!r}: wanted amd64, arm64 or arm/v7")
    return Platform("linux", *parts)


def choose(candidates: Iterable[Descriptor], asked: Platform) -> Descriptor | None:
    """The entry of an index for the platform `asked`: nearest variant, first of equals; None if there is none."""
    ranked = [
        (rank, number, entry)
        for number, entry in enumerate(candidates)
        if not entry.attestation and entry.platform and (rank := _rank(entry.platform, asked)) is not None
    ]
    return min(ranked)[2] if ranked else None


def _rank(offered: Platform, asked: Platform) -> tuple[int, str] | None:
    if (offered.os, offered.architecture) != (asked.os, asked.architecture):
        return None
    order: tuple[str, ...] = _PREFERRED.get(asked.architecture, ("",))
    if asked.variant:
        below = _BELOW.get(asked.architecture, ())
        order = (asked.variant, *(below[below.index(asked.variant) + 1 :] if asked.variant in below else ()))
        if asked == Platform("linux", "arm64", "v8"):
            order = ("v8", "")
        if offered.variant not in order:
            return None
    if offered.variant in order:
        return order.index(offered.variant), ""
    return len(order), offered.variant


def platforms(entries: Iterable[Descriptor]) -> str:
    """For an error: what an index offers."""
    offered = {str(entry.platform) for entry in entries if entry.platform and not entry.attestation}
    return ", ".join(sorted(offered)) or "nothing"


# the checks that everything above shares


def _platform(unsafe: Any, what: str) -> Platform | None:
    if unsafe is None:
        return None
    if not isinstance(unsafe, dict):
        raise Refusal(f"{what}: platform is no object")
    parts = [unsafe.get(field) or "" for field in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) and len(part) < 64 for part in parts):
        raise Refusal(f"{what}: platform has a field that is no short string")
    return Platform(*parts)


def _list(document: dict[str, Any], field: str, what: str, limit: int) -> Iterator[Any]:
    value = document.get(field)
    if not isinstance(value, list):
        raise Refusal(f"{what}: no {field}")
    if len(value) > limit:
        raise Refusal(f"{what}: {len(value)} {field}, more than {limit}")
    return iter(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key comes twice")
    return document


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
