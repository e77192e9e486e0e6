"""Reads an input bundle: every input of a node's build as one OCI artifact, in a layout, a tar of one, or a registry.

The artifact is an index (image-spec v1.1, image-index.md) of artifact type BUNDLE. Its manifests are the images as
their registries have them, and artifacts with the project's files, the packages of an architecture, and Python wheels
(docs/how-to/air-gap.md has all media types). Nothing in it is trusted: each blob is verified before it is stored, and
the project's lock decides which blobs a build uses.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic
from pipeline.host.shipped import SHIPPED
from pipeline.model.errors import BadInput
from pipeline.oci import fetch, pull
from pipeline.oci import manifest as manifests
from pipeline.oci.error import Refusal
from pipeline.oci.layout import Layout, TarFiles
from pipeline.oci.manifest import CONFIG_LIMIT, Descriptor, Manifest
from pipeline.oci.reference import parse
from pipeline.oci.source import Source, sources
from pipeline.project.inputs import SETTINGS, check_path
from pipeline.project.project import SPECS, Project
from pipeline.store import Store

BUNDLE = "application/vnd.nodekiln.bundle.v1"
"""Artifact type of the index."""
PROJECT, PACKAGES, WHEELS = (f"application/vnd.nodekiln.{name}.v1" for name in ("project", "packages", "wheels"))
"""Artifact types of the manifests that are not images."""
CONFIG = "application/vnd.nodekiln.bundle.config.v1+json"
FILES, PACKAGE, WHEEL = (
    "application/vnd.nodekiln.project.v1.tar",
    "application/vnd.debian.binary-package",
    "application/zip",
)
"""Media types of layers: the project's files as a tar, a Debian package (registered with IANA), a wheel."""
NAME = "bundle"
"""Name of the bundle in the index of its layout."""
LOADER = '[tool.doit]\nloader = "nodekiln"\n'
"""The pyproject.toml of a project that comes out of a bundle."""

_HOST = re.compile(r"(localhost|[^/]*[^/.][.:][^/]*)/")
"""Start of a reference to a registry, as against a path."""


class Bundle(NamedTuple):
    """A bundle, of which the documents have been read.

    files: the tar of the project's files. documents: the manifests of images. blobs: all that a store takes.
    """

    reference: str
    sources: Sequence[Source]
    config: Mapping[str, Any]
    files: Descriptor
    documents: Sequence[fetch.FetchedManifest]
    blobs: Sequence[Descriptor]

    @property
    def node(self) -> str:
        return str(self.config["node"])

    def put_into(self, store: Store) -> int:
        """Stores the images and packages, and the project's files as a tar; returns the number of new blobs."""
        missing = [blob for blob in self.blobs if not fetch.is_stored(store, blob, self.reference)]
        with ThreadPoolExecutor(pull.CONNECTIONS) as pool:
            list(pool.map(lambda blob: fetch.blob(store, self.sources, blob, self.reference), missing))
        for document in self.documents:
            if not store.has(document.digest):
                pull.put_manifest(store, document.digest, document.data)
        return len(missing)

    def is_for(self, store: Store, project: Project) -> bool:
        """Returns whether `project` is to come out of the bundle: it lacks the spec, and has none but the bundle's."""
        specs = {str(project.path(name)) for name in project.names()}
        return str(project.path(self.node)) not in specs and specs <= self._files(store).tree.files().keys()

    def write_project(self, store: Store, root: Path) -> list[str]:
        """Writes the project's files into `root`, the spec last, and a pyproject.toml if it lacks one.

        Returns their paths. Nothing else is replaced, and no symlink followed. NodekilnError.
        """
        files, spec = self._files(store), f"{SPECS}/{self.node}.yml"
        names = sorted(map(check_path, files.tree.files()), key=lambda name: (name == spec, name))
        for name in names:
            place = atomic.path_without_symlinks(root, name)
            if place.exists() and not _is_same(files, name, place):
                raise BadInput(
                    f"{place} is there already, with other content: use an empty folder for {self.reference}"
                )
        for name in names:
            place = atomic.make_folder(root, str(Path(name).parent)) / Path(name).name
            partial = place.with_name(f".{place.name}{atomic.SUFFIX}")
            with atomic.recreate(partial) as file:
                file.writelines(files.chunks(name))
            atomic.rename(partial, place)
        if not (root / "pyproject.toml").exists():
            atomic.write(root / "pyproject.toml", LOADER)
        return names

    def differences(self, store: Store, root: Path) -> Iterator[str]:
        """Yields the paths of files that are not in the project `root` as the bundle has them."""
        files = self._files(store)
        for name in files.tree.files():
            places = [place for place in (root / name, SHIPPED / name) if place.is_file()]
            if not places or not _is_same(files, name, places[0]):
                yield name

    def _files(self, store: Store) -> TarFiles:
        return TarFiles(store.right(self.files.digest))


def _is_same(files: TarFiles, name: str, place: Path) -> bool:
    """Returns whether the file `place` has the content of the archive's file `name`."""
    digest = hashlib.sha256()
    for chunk in files.chunks(name):
        digest.update(chunk)
    with open(place, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == digest.digest()


def find(reference: str) -> Bundle:
    """Returns the bundle that `reference` names: a tar, a folder, or a reference. NodekilnError for anything else."""
    places, wanted = _places(reference)
    subject = f"{reference} is not a bundle that can be used"
    top = fetch.manifest(places, wanted, subject)
    if isinstance(top.document, Manifest):
        raise Refusal(f"{subject}: it is another artifact, or an image")
    images, blobs, config, files = [], dict[Descriptor, None](), None, None
    for entry in top.document:
        fetched = fetch.manifest(places, entry.digest, subject)
        if not isinstance(fetched.document, Manifest):
            raise Refusal(f"{subject}: {entry.digest} is an index in an index")
        kind = manifests.decode(fetched.data, subject).get(
            "artifactType"
        )  # tools that copy an index drop that of entries
        inner, layers = fetched.document.config, fetched.document.layers
        if kind == WHEELS:
            continue
        if kind == PROJECT and layers:
            config, files = _config(fetch.small(places, inner, CONFIG_LIMIT, subject), subject), layers[0]
        elif kind is None:
            manifests.check_image(fetched.document, subject)
            images.append(fetched)
            blobs[inner] = None
        elif kind != PACKAGES:
            raise Refusal(f"{subject}: {entry.digest} is of the unknown type {str(kind)[:80]!r}: update nodekiln")
        blobs |= dict.fromkeys(layers)
    if config is None or files is None:
        raise Refusal(f"{subject}: it has no project")
    return Bundle(reference, places, config, files, images, [*blobs])


def _places(reference: str) -> tuple[Sequence[Source], str]:
    """Returns the places of a bundle, and its name there: a tag or digest. BadInput if there is no such file."""
    if Path(reference).exists():
        return [Layout(Path(reference), NAME)], NAME
    if not reference.startswith(("oci:", "oci-archive:")) and not _HOST.match(reference):
        raise BadInput(
            f"{reference}: no such file or folder, and not a reference such as registry.example/nodes/node:v1"
        )
    image = parse(reference)
    if image.transport == "registry":
        return sources(image), image.wanted
    return [Layout(Path(image.path), image.inside or NAME)], NAME


def _config(data: bytes, subject: str) -> Mapping[str, Any]:
    """Returns the configuration of a bundle, checked. Refusal."""
    unsafe = manifests.decode(data, subject)
    node, environment, keys = unsafe.get("node"), unsafe.get("environment"), unsafe.get("keys")
    by_format = isinstance(keys, dict) and all(isinstance(formats, dict) for formats in keys.values())
    if not isinstance(node, str) or not isinstance(environment, dict) or not by_format:
        raise Refusal(f"{subject}: its configuration is not one of a bundle")
    if not environment.keys() <= {*SETTINGS} or not all(isinstance(value, str) for value in environment.values()):
        raise Refusal(f"{subject}: it sets other variables than {' and '.join(SETTINGS)}")
    check_path(f"{SPECS}/{node}.yml")
    return unsafe


def apply_environment(bundle: Bundle) -> None:
    """Sets the variables that the bundle was made with. BadInput if one has another value here."""
    for name, value in bundle.config["environment"].items():
        if os.environ.setdefault(name, value) != value:
            raise BadInput(f"{name} is {os.environ[name]}, and {value} in {bundle.reference}: unset it")
