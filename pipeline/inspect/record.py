"""Records of earlier builds: manifest.json (pipeline.project.publish), and the files and the lock that came with it.

A record is in a folder with the build's files, alone, or in a registry, where it was pushed. One from elsewhere is a
claim: its shape is checked, and so are the files beside it (`check`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.engine.action import Action, closure
from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.oci.error import ImageError
from pipeline.planning import lock
from pipeline.project.publish import MANIFEST
from pipeline.readers.view import HostFile, sha256
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.oci.artifact import NodeArtifact

LARGEST = 16 << 20
"""Maximum size of a pushed record or lock, in bytes: some hundred times the default node's."""
HEX = re.compile(r"[0-9a-f]{64}")
TRANSPORTS = ("oci:", "oci-archive:")
"""Prefixes of references that name no registry."""


class BuildRecord(NamedTuple):
    """An earlier build.

    manifests: architecture -> its manifest.json. file: (architecture, file name) -> the file on this host, fetched if
    need be; None if there is none. sum: the same -> the file's sha256 (hexadecimal); None for a record without files.
    lock: the lock of the build, if it was pushed too.
    """

    name: str
    manifests: Mapping[str, Mapping[str, Any]]
    file: Callable[[str, str], Path | None]
    sum: Callable[[str, str], str | None]
    lock: Path | None = None

    def check(self) -> None:
        """Reads the record's files; BadInput names the first that is missing or has another digest."""
        for arch, manifest in self.manifests.items():
            for entry in manifest["formats"].values():
                for name, attributes in entry["files"].items():
                    digest = self.sum(arch, name)
                    if digest not in (None, attributes["sha256"]):
                        fault = f"has sha256 {digest}" if digest else "is missing"
                        raise BadInput(f"{self.name}: {name} {fault}; {MANIFEST} has {attributes['sha256']}")


def read(store: Store, name: str) -> BuildRecord:
    """The record `name`: a manifest.json, its folder, or the reference of a pushed node.

    BadInput if it is none of them.
    """
    path = Path(name) / MANIFEST if Path(name).is_dir() else Path(name)
    if path.exists():
        manifest = parse(path.read_bytes(), name)
        find, missing = inside(path.parent), None if path == Path(name) else ""
        return BuildRecord(
            name, {manifest["arch"]: manifest}, lambda arch, file: find(file),
            lambda arch, file: sha256(HostFile(place)) if (place := find(file)) else missing,
        )  # fmt: skip
    if not is_remote(name):
        raise BadInput(f"{name}: no such file, nor a reference with its registry (registry.example/nodes/node:v1)")
    record = pushed(store, name)
    if record is None:
        raise BadInput(f"{name}: an image, not a node that {user_command(f'push:NODE --to {name}')} pushed")
    return record


def is_remote(name: str) -> bool:
    """Returns True if `name` names a registry or layout, so that it cannot be a path."""
    from pipeline.oci import reference as references

    try:
        return name.startswith(TRANSPORTS) or references.expand(name) == name
    except ImageError:
        return False


def pushed(store: Store, reference: str) -> BuildRecord | None:
    """The record of the node that was pushed as `reference`; None if that is something else."""
    from pipeline.oci import artifact

    node = artifact.find(reference)
    if node is None:
        return None
    manifests, places = {}, {}
    for arch in node.files:
        manifest = parse(node.read(store, arch, MANIFEST, LARGEST), f"{reference}: {MANIFEST}")
        manifests[manifest["arch"]] = manifest
        places[manifest["arch"]] = arch

    def file(arch: str, name: str) -> Path | None:
        return node.fetch(store, places[arch], name) if name in node.files[places[arch]] else None

    def sum(arch: str, name: str) -> str | None:
        blob = node.files[places[arch]].get(name)
        return blob.digest.hex if blob and blob.digest.algorithm == "sha256" else None

    locks = [(arch, name) for arch, names in node.files.items() for name in names if name.endswith(".lock")]
    return BuildRecord(reference, manifests, file, sum, _lock(store, node, *locks[0]) if locks else None)


def _lock(store: Store, node: NodeArtifact, arch: str, name: str) -> Path:
    """The file of the pushed lock; BadInput if it is not a lock."""
    node.read(store, arch, name, LARGEST)
    path = node.fetch(store, arch, name)
    try:
        lock.read(path)
    except (NodekilnError, KeyError):
        raise BadInput(f"{node.reference}: {name} is not a lock of a version that this nodekiln reads") from None
    return path


def inside(folder: Path) -> Callable[[str], Path | None]:
    """Returns a function: file name -> its path in `folder`, None if there is no such file or the name is a path."""

    def find(name: str) -> Path | None:
        path = folder / name
        return path if Path(name).name == name and path.exists() else None

    return find


def parse(data: bytes, what: str) -> dict[str, Any]:
    """The manifest.json in `data`; BadInput if it is not one. what: its name in the message."""
    try:
        manifest: dict[str, Any] = json.loads(data)
        entries = manifest["formats"].values()
        whole = isinstance(manifest["arch"], str) and all(map(_is_entry, entries))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise BadInput(f"{what}: not a record of a build (build/NAME/{MANIFEST} is one)")
    return manifest


def _is_entry(entry: Mapping[str, Any]) -> bool:
    """Returns True if `entry` has the shape that pipeline.project.publish writes; may raise KeyError or TypeError."""
    files: Iterable[Mapping[str, Any]] = entry["files"].values()
    stages: Iterable[Mapping[str, Any]] = entry["stages"].values()
    return all(HEX.fullmatch(attributes["sha256"]) and type(attributes["size"]) is int for attributes in files) and all(
        HEX.fullmatch(stage["key"])
        and isinstance(stage["version"], str)
        and (stage["result"] is None or Digest.parse(stage["result"]))
        for stage in stages
    )


def version_changes(entry: Mapping[str, Any], action: Action) -> Iterator[str]:
    """Yields a line for each stage of `entry` (a format in manifest.json) whose VERSION is another one now."""
    for each in closure(action):
        recorded = entry.get("stages", {}).get(each.name, {}).get("version")
        if recorded is not None and recorded != each.version:
            yield f"{each.name}: made by version {recorded} of {each.stage.__module__}, which is {each.version} now"
