"""Docker's archives, which `docker save` writes: old ones (a folder per layer), and OCI layouts with a manifest.json.

They have no manifest in the registry's sense, so one is generated. It is the same for the same image, whichever Docker
saved it (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import File, Symlink, parent
from pipeline.oci.directory import printable
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.layout import TarFiles
from pipeline.oci.manifest import CONFIG_LIMIT, CONFIGS, LAYERS, LAYERS_LIMIT, MANIFEST_LIMIT, MANIFESTS, Descriptor
from pipeline.oci.reference import InvalidReference, expand


class DockerArchive:
    """The archive in `file`. `inside` is the image's NAME:TAG; "" for the only image of the archive."""

    def __init__(self, file: Path, inside: str = "") -> None:
        self.file = file
        self.inside = inside
        self._guard = threading.Lock()
        self._blobs: dict[Digest, str] = {}
        self._manifest = b""

    def __str__(self) -> str:
        return f"docker-archive:{self.file}"

    def resolve(self, wanted: str) -> str:
        return wanted

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        self._read()
        return self._manifest, MANIFESTS[0]

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        self._read()
        if digest not in self._blobs:
            raise NotFound(f"{self} has no {digest}")
        return self._files.chunks(self._blobs[digest], start)

    def _read(self) -> None:
        with self._guard:
            if not self._manifest:
                self._manifest = self._generate()

    def _generate(self) -> bytes:
        """Returns the image's manifest. Every file of the image is hashed: the archive has no digests of layers."""
        if not self.file.is_file():
            raise NotFound(f"{self.file}: no such file")
        self._files = TarFiles(self.file)
        image = self._image()
        config = self._descriptor(CONFIGS[0], image.get("Config"))
        if config["size"] > CONFIG_LIMIT:
            raise Refusal(f"{self}: a config of {config['size']} bytes; {CONFIG_LIMIT} is the limit")
        names = image.get("Layers")
        if not isinstance(names, list) or len(names) > LAYERS_LIMIT:
            raise Refusal(f"{self}: Layers is not a list of at most {LAYERS_LIMIT} names")
        layers = [self._descriptor(LAYERS[0], name) for name in names]
        return canonical_json({"schemaVersion": 2, "mediaType": MANIFESTS[0], "config": config, "layers": layers})

    def _image(self) -> dict[str, Any]:
        """Returns the image's object in manifest.json."""
        try:
            images = json.loads(self._files.read("manifest.json", MANIFEST_LIMIT))
        except (ValueError, RecursionError) as error:
            raise Refusal(f"{self}: manifest.json is not JSON: {error}") from None
        if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
            raise Refusal(f"{self}: manifest.json is not a list of objects")
        tags = [[tag for tag in image.get("RepoTags") or () if isinstance(tag, str)] for image in images]
        matches: list[dict[str, Any]] = [
            image for image, names in zip(images, tags, strict=True) if not self.inside or self._is_among(names)
        ]
        if len(matches) != 1:
            names = ", ".join(printable(name) for names in tags for name in names[:10])
            raise ImageError(f"{self} holds {len(images)} images: write {self}:NAME:TAG with one of {names}")
        return matches[0]

    def _is_among(self, unsafe_tags: list[str]) -> bool:
        """Returns whether `inside` is one of the tags; Docker writes them short, others with their registry."""
        name = expand(self.inside)
        for tag in unsafe_tags:
            with contextlib.suppress(InvalidReference):
                if expand(tag) == name:
                    return True
        return False

    def _descriptor(self, media_type: str, unsafe_name: object) -> dict[str, Any]:
        """Returns the descriptor of a file of the archive. A layer that is stored once is a symlink elsewhere."""
        if not isinstance(unsafe_name, str):
            raise Refusal(f"{self}: a file name was expected, not {str(unsafe_name)[:80]!r}")
        name = unsafe_name
        entry = self._files.tree.get(name)
        if type(entry) is Symlink:
            name = posixpath.normpath(posixpath.join(parent(name), entry.target))
            entry = self._files.tree.get(name)
        if type(entry) is not File:
            raise Refusal(f"{self}: no file {printable(unsafe_name)}")
        digest = Digest.of_chunks(self._files.chunks(name))
        self._blobs[digest] = name
        return Descriptor(media_type, digest, entry.size).document()
