"""Builds the tree of a spec without a plan: images come from an OCI layout on disk, parts are laid over each other."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import sections
from pipeline.engine.action import Action
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Device, Directory, Entry, File, Symlink, Tree, complete, overlay
from pipeline.oci.layer import flatten
from pipeline.oci.reference import expand
from pipeline.spec import spec
from pipeline.spec.components import Context, Image
from pipeline.store import Store

VERSION = 1


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


@cache
def index(layout: Path) -> dict[str, str]:
    """reference -> digest, of an OCI layout."""
    document = json.loads((layout / "index.json").read_text())
    return {each["annotations"]["org.opencontainers.image.ref.name"]: each["digest"] for each in document["manifests"]}


def given(store: Store, *, digest: str) -> Digest:
    """A stage that gives what is in the store already."""
    return Digest.parse(digest)


def flattened(store: Store, manifest: Digest) -> Digest:
    document = json.loads(store.get(manifest))
    layers = [store.put(gzip.decompress(store.get(Digest.parse(layer["digest"])))) for layer in document["layers"]]
    return store.put_tree(flatten(store, layers))


class Images:
    """Context.image over an OCI layout."""

    def __init__(self, store: Store, layout: Path, arch: str = "amd64") -> None:
        self.store, self.layout, self.arch = store, layout, arch
        self.known: dict[str, Image] = {}

    def __call__(self, text: str) -> Image:
        reference = expand(text)
        if reference not in self.known:
            self.known[reference] = self.fetch(reference)
        return self.known[reference]

    def fetch(self, reference: str) -> Image:
        digest = (
            index(self.layout).get(reference)
            or index(self.layout).get(reference + ":latest")
            or reference.partition("@")[2]
        )
        assert digest, reference
        document = json.loads(blob(self.layout, digest))
        if "manifests" in document:
            digest = next(
                each["digest"] for each in document["manifests"] if each["platform"]["architecture"] == self.arch
            )
            document = json.loads(blob(self.layout, digest))
        for each in (document["config"], *document["layers"], {"digest": digest}):
            self.store.put(blob(self.layout, each["digest"]))
        manifest = Action("pull", given, {"digest": digest})
        return Image(reference, manifest, Action("unpack", flattened, {}, (manifest,)))


def root(store: Store, loaded: spec.Spec, images: Images, epoch: int = EPOCH) -> Tree:
    """The root file system of a spec."""
    merged = Tree()
    for part in sections.components(Context(loaded, images, epoch)):
        merged = overlay(merged, store.tree(part.tree.perform(store)[0]))
    return complete(merged, mtime=epoch)


def row(store: Store, path: str, entry: Entry) -> dict[str, Any]:
    """A path as the conformance cases write it."""
    found: dict[str, Any] = {
        "path": path,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": entry.mtime,
    }
    if isinstance(entry, Directory):
        found["type"] = "dir"
    elif isinstance(entry, Symlink):
        found |= {"type": "symlink", "target": entry.target}
    elif isinstance(entry, Device):
        found |= {"type": {"c": "char", "b": "block", "p": "fifo"}[entry.kind]}
        if entry.kind != "p":
            found["dev"] = [entry.major, entry.minor]
    elif isinstance(entry, File) and entry.inode and entry.inode != path:
        found |= {"type": "hardlink", "target": entry.inode}
    elif isinstance(entry, File):
        digest = Digest.of(store.bytes(entry.content))
        found |= {"type": "file", "size": entry.size, "sha256": digest.hex}
    if entry.xattrs:
        found["xattrs"] = {name: value.decode("utf-8", "surrogateescape") for name, value in entry.xattrs}
    return found
