"""Record: the manifest.json (pipeline.project.publish) of an earlier build, here or elsewhere, and what else of it can
be had. It lies in a folder with the build's files, alone, or in a registry with all that was pushed.

A record that comes from elsewhere is a claim: it is checked for its shape, and against the files that lie with it
(`check`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
"""Bytes of a record, or a lock, that somebody else pushed: some hundred times the default node's."""
HEX = re.compile(r"[0-9a-f]{64}")
TRANSPORTS = ("oci:", "oci-archive:")
"""What a reference may start with that names no registry."""


class Record(NamedTuple):
    """A build that was made before.

    manifests: architecture -> its manifest.json. file: (architecture, file name) -> where it lies on this host, fetched
    if it has to be; None if it cannot be had. sum: the same -> the sha256 (hexadecimal) of the file; None where the
    record came without its files. lock: the one that it was made from, where that came along.
    """

    name: str
    manifests: Mapping[str, Mapping[str, Any]]
    file: Callable[[str, str], Path | None]
    sum: Callable[[str, str], str | None]
    lock: Path | None = None

    def check(self) -> None:
        """Hold the record against its files, which are read; BadInput names the first that is not what it says."""
        for arch, manifest in self.manifests.items():
            for entry in manifest["formats"].values():
                for name, facts in entry["files"].items():
                    found = self.sum(arch, name)
                    if found not in (None, facts["sha256"]):
                        there = f"has sha256 {found}" if found else "is not there"
                        raise BadInput(f"{self.name}: {name} {there}; {MANIFEST} says {facts['sha256']}")


def read(store: Store, asked: str) -> Record:
    """The record that `asked` names: a manifest.json, the folder that it is in, or what `doit push` put there.

    BadInput if it is none of them.
    """
    path = Path(asked) / MANIFEST if Path(asked).is_dir() else Path(asked)
    if path.exists():
        manifest = parse(path.read_bytes(), asked)
        find, alone = inside(path.parent), None if path == Path(asked) else ""
        return Record(
            asked, {manifest["arch"]: manifest}, lambda arch, name: find(name),
            lambda arch, name: sha256(HostFile(found)) if (found := find(name)) else alone,
        )  # fmt: skip
    if not is_remote(asked):
        raise BadInput(f"{asked}: no such file, nor a reference with its registry (registry.example/nodes/node:v1)")
    found = pushed(store, asked)
    if found is None:
        raise BadInput(f"{asked}: an image, not what {user_command(f'push:NODE --to {asked}')} puts there")
    return found


def is_remote(asked: str) -> bool:
    """Whether `asked` names a registry or layout outright, so that it cannot be meant as a path."""
    from pipeline.oci import reference as references

    try:
        return asked.startswith(TRANSPORTS) or references.expand(asked) == asked
    except ImageError:
        return False


def pushed(store: Store, reference: str) -> Record | None:
    """The record of the node that was pushed as `reference`; None if that is something else."""
    from pipeline.oci import artifact

    found = artifact.find(reference)
    if found is None:
        return None
    manifests, places = {}, {}
    for arch in found.files:
        manifest = parse(found.read(store, arch, MANIFEST, LARGEST), f"{reference}: {MANIFEST}")
        manifests[manifest["arch"]] = manifest
        places[manifest["arch"]] = arch

    def file(arch: str, name: str) -> Path | None:
        there = name in found.files[places[arch]]
        return found.fetch(store, places[arch], name) if there else None

    def sum(arch: str, name: str) -> str | None:
        blob = found.files[places[arch]].get(name)
        return blob.digest.hex if blob and blob.digest.algorithm == "sha256" else None

    locks = [(arch, name) for arch, names in found.files.items() for name in names if name.endswith(".lock")]
    return Record(reference, manifests, file, sum, _lock(store, found, *locks[0]) if locks else None)


def _lock(store: Store, found: NodeArtifact, arch: str, name: str) -> Path:
    """Where the lock that was pushed lies; BadInput if it is none."""
    found.read(store, arch, name, LARGEST)
    path = found.fetch(store, arch, name)
    try:
        lock.read(path)
    except (NodekilnError, KeyError):
        raise BadInput(f"{found.reference}: {name} is no lock that this nodekiln can read") from None
    return path


def inside(folder: Path) -> Callable[[str], Path | None]:
    """File name -> where it lies in `folder`, None if it does not; a name is never a path out of it."""

    def find(name: str) -> Path | None:
        path = folder / name
        return path if Path(name).name == name and path.exists() else None

    return find


def parse(data: bytes, what: str) -> dict[str, Any]:
    """The manifest.json in `data`; BadInput if it is not one. what: names it in the error."""
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
    return all(HEX.fullmatch(facts["sha256"]) and type(facts["size"]) is int for facts in files) and all(
        HEX.fullmatch(stage["key"])
        and isinstance(stage["version"], str)
        and (stage["result"] is None or Digest.parse(stage["result"]))
        for stage in stages
    )
