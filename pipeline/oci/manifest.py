"""Manifests, indexes and platforms: the JSON documents of an image, checked before anything uses them.

image-spec v1.1 (manifest.md, image-index.md, descriptor.md) and Docker's schema 2, which has the same shape. Only known
fields are copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.model import json_object
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.oci.error import Refusal

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
MANIFESTS = (OCI + "manifest.v1+json", DOCKER + "distribution.manifest.v2+json")
INDEXES = (OCI + "index.v1+json", DOCKER + "distribution.manifest.list.v2+json")
CONFIGS = (OCI + "config.v1+json", DOCKER + "container.image.v1+json")
LAYERS = (
    *(OCI + "layer.v1.tar" + compression for compression in ("", "+gzip", "+zstd")),
    *(DOCKER + "image.rootfs.diff.tar" + compression for compression in ("", ".gzip", ".zstd")),
)
"""Media types of layers; foreign and nondistributable layers, which have URLs of their own, are not among them."""
REF_NAME = "org.opencontainers.image.ref.name"
"""Annotation: an image's name in the index of a layout."""

MANIFEST_LIMIT = 4 << 20
"""Maximum size of a manifest or index, in bytes: what the distribution specification asks registries to accept."""
CONFIG_LIMIT = 8 << 20
"""Maximum size of an image's config, in bytes: histories of generated images reach hundreds of KiB."""
LAYERS_LIMIT = 1000
"""Maximum number of layers of an image; Docker stops at 127, overlay file systems at 500."""
LAYER_LIMIT = 1 << 40
"""Maximum size in a descriptor, in bytes: 1 TiB."""
MANIFESTS_LIMIT = 10_000
"""Maximum number of manifests in an index."""

PARAMETERS_LIMIT = 4
"""Maximum number of parameters of a media type."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
"""A restricted-name (RFC 6838, 4.2)."""
_VALUE = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,127}"
"""A token (RFC 9110, 5.6.2), no longer than a restricted-name."""
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}((?:; ?{_NAME}={_VALUE}){{0,{PARAMETERS_LIMIT}}})")
"""A media type, and its parameters (RFC 9110, 8.3.1), whose values are tokens: none is a quoted string."""


class Platform(NamedTuple):
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))


class Descriptor(NamedTuple):
    """The media type, digest and size in bytes of a blob (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    name: str = ""
    """Annotation REF_NAME."""
    attestation: bool = False
    """The blob is a statement about an image (BuildKit's provenance, SBOM), not an image."""

    def document(self) -> dict[str, Any]:
        return {"digest": self.digest, "mediaType": self.media_type, "size": self.size}


class Manifest(NamedTuple):
    config: Descriptor
    layers: tuple[Descriptor, ...]


Index = tuple[Descriptor, ...]


def decode(data: bytes, subject: str) -> dict[str, Any]:
    """Returns the JSON object in `data`. Duplicate keys are refused: readers differ in which one counts."""
    try:
        document = json.loads(data, object_pairs_hook=json_object.unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{subject}: not JSON that can be trusted: {error}") from None
    if not isinstance(document, dict):
        raise Refusal(f"{subject} is not a JSON object")
    return document


def parse(data: bytes, subject: str, media_type: str = "") -> Manifest | Index:
    """Returns the manifest or index in `data`.

    subject: for messages. media_type: as the source states it, "" if it does not. Refusal if the document states
    another one, or could be read both as a manifest and as an index (CVE-2021-41190).
    """
    document = decode(data, subject)
    kind = _media_type(document, subject, media_type)
    if "manifests" in document:
        if kind in MANIFESTS:
            raise Refusal(f"{subject}: an index that states that it is {kind}")
        return _descriptors(document, "manifests", subject, MANIFESTS_LIMIT)
    if kind in INDEXES or "fsLayers" in document:
        raise Refusal(f"{subject}: {kind or 'schema 1'} without manifests")
    layers = _descriptors(document, "layers", subject, LAYERS_LIMIT)
    return Manifest(descriptor(document.get("config"), f"{subject}: config"), layers)


def _media_type(document: dict[str, Any], subject: str, media_type: str) -> str:
    stated: str = document.get("mediaType", "")
    if stated and media_type and stated != media_type and media_type in MANIFESTS + INDEXES:
        raise Refusal(f"{subject}: it came as {media_type}, but states that it is {str(stated)[:100]!r}")
    if "manifests" in document and ("layers" in document or "config" in document):
        raise Refusal(f"{subject}: has the fields of a manifest and of an index")
    if document.get("schemaVersion") != 2:
        raise Refusal(f"{subject}: schemaVersion 2 is needed, not {str(document.get('schemaVersion'))[:20]}")
    return stated or media_type


def _descriptors(document: dict[str, Any], field: str, subject: str, limit: int) -> tuple[Descriptor, ...]:
    values = document.get(field)
    if not isinstance(values, list):
        raise Refusal(f"{subject}: {field} is not a list")
    if len(values) > limit:
        raise Refusal(f"{subject}: {len(values)} {field}, more than {limit}")
    return tuple(descriptor(value, f"{subject}: {field}[{number}]") for number, value in enumerate(values))


def descriptor(unsafe: Any, subject: str) -> Descriptor:
    """Returns the descriptor in a decoded document, checked."""
    if not isinstance(unsafe, dict):
        raise Refusal(f"{subject} is not a descriptor")
    media_type, size = unsafe.get("mediaType"), unsafe.get("size")
    if not isinstance(media_type, str) or not is_media_type(media_type):
        raise Refusal(f"{subject}: mediaType {str(media_type)[:80]!r} is not a media type")
    if type(size) is not int or not 0 <= size <= LAYER_LIMIT:
        raise Refusal(f"{subject}: size {str(size)[:40]} is not between 0 and {LAYER_LIMIT}")
    try:
        digest = Digest.parse(unsafe.get("digest"))
    except InvalidDigest as error:
        raise Refusal(f"{subject}: {error}") from None
    annotations = unsafe.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    name = annotations.get(REF_NAME, "")
    attestation = "vnd.docker.reference.type" in annotations
    platform = _platform(unsafe.get("platform"), subject)
    return Descriptor(media_type, digest, size, platform, name if isinstance(name, str) else "", attestation)


def is_media_type(text: str) -> bool:
    """Returns whether `text` is a media type as descriptors have it; no parameter stands twice (RFC 6838, 4.3)."""
    if not (match := _MEDIA_TYPE.fullmatch(text)):
        return False
    names = [each.partition("=")[0].strip().lower() for each in match[1].split(";")[1:]]
    return len(names) == len({*names})


def check_image(manifest: Manifest, subject: str) -> None:
    """Refuses manifests of anything but container images (charts, signatures), and layers of no registry."""
    if manifest.config.media_type not in CONFIGS:
        raise Refusal(f"{subject}: not a container image: its config is {manifest.config.media_type}")
    if manifest.config.size > CONFIG_LIMIT:
        raise Refusal(f"{subject}: its config claims {manifest.config.size} bytes; {CONFIG_LIMIT} is the limit")
    for layer in manifest.layers:
        if layer.media_type not in LAYERS:
            raise Refusal(f"{subject}: layer {layer.digest} is {layer.media_type}, which registries do not give out")


# platforms

_PREFERRED = {
    "amd64": ("", "v1", "v2", "v3", "v4"),
    "arm64": ("", "v8"),
    "arm": ("v7", "", "v6", "v5"),
}
"""Variants in the order in which they are taken if none is requested; others follow in alphabetical order."""
_COMPATIBLE = {"amd64": ("v4", "v3", "v2", "v1", ""), "arm": ("v8", "v7", "v6", "v5"), "arm64": ()}
"""Variants; each runs those that stand after it."""


def parse_platform(architecture: str) -> Platform:
    """Returns the platform that `arm64`, `arm/v7` or `linux/arm64/v8` stands for. Refusal."""
    parts = architecture.removeprefix("linux/").split("/")
    if not 1 <= len(parts) <= 2 or not all(re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", part) for part in parts):
        raise Refusal(f"{architecture!r} is not an architecture: use amd64, arm64 or arm/v7")
    return Platform("linux", *parts)


def choose(entries: Iterable[Descriptor], platform: Platform) -> Descriptor | None:
    """Returns the entry of an index for `platform`: nearest variant, first of equals; None if there is none."""
    ranked = [
        (rank, number, entry)
        for number, entry in enumerate(entries)
        if not entry.attestation and entry.platform and (rank := _rank(entry.platform, platform)) is not None
    ]
    return min(ranked)[2] if ranked else None


def _rank(offered: Platform, wanted: Platform) -> tuple[int, str] | None:
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return None
    order: tuple[str, ...] = _PREFERRED.get(wanted.architecture, ("",))
    if wanted.variant:
        variants = _COMPATIBLE.get(wanted.architecture, ())
        below = variants[variants.index(wanted.variant) + 1 :] if wanted.variant in variants else ()
        order = ("v8", "") if wanted == Platform("linux", "arm64", "v8") else (wanted.variant, *below)
        if offered.variant not in order:
            return None
    if offered.variant in order:
        return order.index(offered.variant), ""
    return len(order), offered.variant


def platforms(entries: Iterable[Descriptor]) -> str:
    """Lists the platforms of an index, for a message."""
    offered = {str(entry.platform) for entry in entries if entry.platform and not entry.attestation}
    return ", ".join(sorted(offered)) or "nothing"


def _platform(unsafe: Any, subject: str) -> Platform | None:
    if unsafe is None:
        return None
    if not isinstance(unsafe, dict):
        raise Refusal(f"{subject}: platform is not an object")
    parts = [unsafe.get(field) or "" for field in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) and len(part) < 64 for part in parts):
        raise Refusal(f"{subject}: platform has a field that is not a short string")
    return Platform(*parts)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")
