"""Docker's own archives: what `docker save` writes, old (a folder a layer) and new (an OCI layout with manifest.json).

They have no manifest in the registry's sense, so one is made of them: the same for the same image, by whatever Docker
it was saved (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import File, Symlink, parent
from pipeline.oci.directory import printable
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.layout import Archive
from pipeline.oci.manifest import CONFIG_LIMIT, LAYERS_LIMIT, MANIFEST_LIMIT, MANIFESTS, OCI
from pipeline.oci.reference import InvalidReference, expand


class DockerArchive:
    """The archive in `file`. `inside` is the image's NAME:TAG; "" where the archive holds one image."""

    def __init__(self, file: Path, inside: str = "") -> None:
        self.file = file
        self.inside = inside
        self._guard = threading.Lock()
        self._blobs: dict[Digest, str] = {}
        self._manifest = b""

    def __str__(self) -> str:
        return f"docker-archive:{self.file}"

    def named(self, wanted: str) -> str:
        return wanted

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        self._read()
        return self._manifest, MANIFESTS[0]

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        self._read()
        if digest not in self._blobs:
            raise NotFound(f"{self} has no {digest}")
        return self._archive.chunks(self._blobs[digest], start)

    def _read(self) -> None:
        with self._guard:
            if not self._manifest:
                self._manifest = self._made()

    def _made(self) -> bytes:
        """The manifest of the image; on the way every file is hashed, for the archive names them otherwise."""
        if not self.file.is_file():
            raise NotFound(f"{self.file}: no such file")
        self._archive = Archive(self.file)
        image = self._image()
        config = self._descriptor(OCI + "config.v1+json", image.get("Config"))
        if config["size"] > CONFIG_LIMIT:
            raise Refusal(f"{self}: a config of {config['size']} bytes; {CONFIG_LIMIT} is the limit")
        names = image.get("Layers")
        if not isinstance(names, list) or len(names) > LAYERS_LIMIT:
            raise Refusal(f"{self}: Layers is no list of at most {LAYERS_LIMIT} names")
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFESTS[0],
                "config": config,
                "layers": [self._descriptor(OCI + "layer.v1.tar", name) for name in names],
            }
        )

    def _image(self) -> dict[str, Any]:
        """The image's object in manifest.json."""
        try:
            images = json.loads(self._archive.read("manifest.json", MANIFEST_LIMIT))
        except (ValueError, RecursionError) as error:
            raise Refusal(f"{self}: manifest.json is not JSON: {error}") from None
        if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
            raise Refusal(f"{self}: manifest.json is no list of objects")
        tags = [[tag for tag in image.get("RepoTags") or () if isinstance(tag, str)] for image in images]
        found: list[dict[str, Any]] = [
            image for image, names in zip(images, tags, strict=True) if not self.inside or self._wanted(names)
        ]
        if len(found) != 1:
            known = ", ".join(printable(name) for names in tags for name in names[:10])
            raise ImageError(f"{self} holds {len(images)} images: write {self}:NAME:TAG with one of {known}")
        return found[0]

    def _wanted(self, unsafe_tags: list[str]) -> bool:
        """Whether one of `unsafe_tags` is our name; Docker writes them short, others with their registry."""
        expanded = expand(self.inside)
        for tag in unsafe_tags:
            with contextlib.suppress(InvalidReference):
                if expand(tag) == expanded:
                    return True
        return False

    def _descriptor(self, media_type: str, unsafe_name: object) -> dict[str, Any]:
        """Where a file of the archive goes in the manifest; layers that are stored once are symlinks to each other."""
        if not isinstance(unsafe_name, str):
            raise Refusal(f"{self}: a file name was expected, not {str(unsafe_name)[:80]!r}")
        name = unsafe_name
        entry = self._archive.tree.get(name)
        if type(entry) is Symlink:
            parts = parent(name).split("/")
            for part in entry.target.split("/"):
                parts = parts[:-1] if part == ".." else [*parts, part]
            name = "/".join(parts)
            entry = self._archive.tree.get(name)
        if type(entry) is not File:
            raise Refusal(f"{self}: no file {printable(unsafe_name)}")
        digest = Digest.of_chunks(self._archive.chunks(name))
        self._blobs[digest] = name
        return {"mediaType": media_type, "digest": digest, "size": entry.size}
