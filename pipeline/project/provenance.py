"""Provenance of results: an in-toto statement (v1) with SLSA's predicate (v1), made of manifest.json and the lock.

It has no time, no host and no invocation: whoever builds the same has the same statement, to the byte, and only the
signatures of it differ. Of the spec it has names and digests of files alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pipeline.model.digest import Digest
from pipeline.planning.lock import Lock
from pipeline.trust import document, statement

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:nodekiln:build:1"
"""Type of the build, which gives `externalParameters` their meaning (docs/reference/manifest.md)."""
BUILDER = "urn:nodekiln"

Dependency = Mapping[str, Any]
"""A resource descriptor (in-toto attestation, spec/v1/resource_descriptor.md)."""


def dependencies(lock: Lock, arch: str) -> list[Dependency]:
    """Returns what a lock has for an architecture: images by the digest of their manifest, with their bills of
    materials, and packages by SHA-256."""
    found = {
        (str(each["uri"]), json.dumps(each["digest"])): each for each in (*_images(lock, arch), *_packages(lock, arch))
    }
    return [found[key] for key in sorted(found)]


def statement_of(
    manifest: Mapping[str, Any], dependencies: Sequence[Dependency], pushed: Mapping[str, Digest] | None = None
) -> bytes:
    """Returns the statement about the files in manifest.json, in canonical JSON (RFC 8785).

    pushed: more subjects, such as the manifest in a registry that has the files: name -> digest.
    """
    files = {
        name: Digest(f"sha256:{attributes['sha256']}")
        for entry in manifest["formats"].values()
        for name, attributes in entry["files"].items()
    }
    parameters = {
        "arch": manifest["arch"],
        "formats": sorted(manifest["formats"]),
        "spec": manifest["spec"],
        "lock": manifest["lock"],
    }
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": parameters,
        "resolvedDependencies": [*dependencies],
    }
    run = {"builder": {"id": BUILDER, "version": {"nodekiln": manifest["nodekiln"]}}}
    fields = {
        "_type": statement.TYPES[0],
        "subject": [*_subjects(files), *_subjects(pushed or {})],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"buildDefinition": definition, "runDetails": run},
    }
    return document.canonical(fields)


def dependencies_of(data: bytes) -> list[Dependency]:
    """Returns the dependencies in a statement that `statement_of` gave."""
    found: list[Dependency] = json.loads(data)["predicate"]["buildDefinition"]["resolvedDependencies"]
    return found


def _subjects(digests: Mapping[str, Digest]) -> Iterable[Mapping[str, Any]]:
    return [{"name": name, "digest": _digest(digest)} for name, digest in sorted(digests.items())]


def _images(lock: Lock, arch: str) -> Iterator[Dependency]:
    for reference, image in lock.images.items():
        if arch in image["platforms"]:
            yield {"uri": f"docker://{reference}", "digest": _digest(Digest(image["platforms"][arch]["manifest"]))}
            for bill in lock.bills(reference) or ():
                digest = _digest(Digest(bill["digest"]))
                yield {"uri": f"docker://{reference}", "digest": digest, "mediaType": bill["mediaType"]}


def _packages(lock: Lock, arch: str) -> Iterator[Dependency]:
    for recipe in lock.packages.values():
        for each in recipe.get(arch, {"packages": ()})["packages"]:
            yield {"uri": _purl(each), "digest": {"sha256": str(each.get("sha256", ""))}}


def _purl(package: Mapping[str, Any]) -> str:
    """Returns the package URL of a package of a lock (package-url, purl-types, "deb")."""
    keys = ("archive", "name", "version", "architecture", "suite")
    archive, name, version, arch, suite = (quote(str(package.get(key, "")), safe="") for key in keys)
    vendor = archive.partition("-")[0] or "debian"
    return f"pkg:deb/{vendor}/{name}@{version}?arch={arch}" + (f"&distro={suite}" if suite else "")


def _digest(digest: Digest) -> dict[str, str]:
    return {digest.algorithm: digest.hex}
