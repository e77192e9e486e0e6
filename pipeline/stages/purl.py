"""Package URLs of a node's parts (package-url specification; its types deb, apk, oci and generic)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from pipeline.model.origins import Origin


def purl(origin: Origin) -> str:
    """Returns the package URL of a part; "" for the spec's files and for what nodekiln makes."""
    if origin.url:
        return origin.url
    if origin.kind in ("deb", "apk"):
        distro = f"{origin.distribution}-{origin.release}" if origin.release else origin.distribution
        upstream = (
            origin.source if origin.source_version == origin.version else f"{origin.source}@{origin.source_version}"
        )
        qualifiers = {"arch": origin.architecture, "distro": distro}
        if upstream != origin.name:
            qualifiers["upstream"] = upstream
        return _joined(origin.kind, f"{origin.distribution}/{origin.name}", origin.version, qualifiers)
    if origin.kind == "recipe":
        return _joined("generic", origin.name, origin.version, {})
    return _of_image(origin.name) if origin.kind == "image" else ""


def _of_image(reference: str) -> str:
    """Returns the URL of an image: its version is the digest that its reference names, if any."""
    full, _, digest = reference.partition("@")
    repository, colon, tag = full.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = full, ""
    name = repository.rpartition("/")[2].lower()
    return _joined("oci", name, digest, {"repository_url": repository, "tag": tag})


def _joined(kind: str, name: str, version: str, qualifiers: Mapping[str, str]) -> str:
    path = "/".join(quote(part, safe="-._~") for part in name.split("/"))
    pairs = "&".join(f"{key}={quote(value, safe='-._~/')}" for key, value in sorted(qualifiers.items()) if value)
    return (
        f"pkg:{kind}/{path}" + (f"@{quote(version, safe='-._~')}" if version else "") + (f"?{pairs}" if pairs else "")
    )
