"""An OCI image layout (image-spec, image-layout.md) as a source: a folder, or a tar of one."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pipeline.model.digest import Digest, InvalidDigest
from pipeline.model.tree import Slice, cut
from pipeline.oci import manifest as manifests
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.manifest import MANIFEST_LIMIT, Descriptor
from pipeline.store import CHUNK

INDEX_LIMIT = 16 << 20
"""Maximum size of a layout's index.json, in bytes: tens of thousands of images."""


class Layout:
    """The layout at `path`. `inside` is the image's name there (annotation org.opencontainers.image.ref.name)."""

    def __init__(self, path: Path, inside: str = "") -> None:
        self.path = path
        self.inside = inside

    def __str__(self) -> str:
        return f"oci:{self.path}"

    def resolve(self, wanted: str) -> str:
        entry = self._entry(wanted)
        return entry.digest if entry else wanted

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        entry = self._entry(wanted)
        size = entry.size if entry else MANIFEST_LIMIT
        digest = entry.digest if entry else Digest.parse(wanted)
        if size > MANIFEST_LIMIT:
            raise Refusal(f"{self}: the manifest {digest} claims {size} bytes; {MANIFEST_LIMIT} is the limit")
        return self._files.read(_blob_name(digest), MANIFEST_LIMIT), entry.media_type if entry else ""

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        return self._files.chunks(_blob_name(digest), start)

    def entries(self) -> manifests.Index:
        """Returns the descriptors in index.json. Refusal."""
        subject = f"{self}: index.json"
        index = manifests.parse(self._files.read("index.json", INDEX_LIMIT), subject, manifests.INDEXES[0])
        if isinstance(index, manifests.Manifest):
            raise Refusal(f"{subject} is not an index")
        return index

    @cached_property
    def _files(self) -> Files:
        if self.path.is_dir():
            return Files(self.path)
        if self.path.is_file():
            return TarFiles(self.path)
        raise NotFound(f"{self.path}: no such folder or file")

    def _entry(self, wanted: str) -> Descriptor | None:
        """Returns the image's descriptor in index.json; None for a digest that is not listed there."""
        index = self.entries()
        try:
            digest = Digest.parse(wanted)
        except InvalidDigest:
            pass
        else:
            return next((entry for entry in index if entry.digest == digest), None)
        entries = [entry for entry in index if not self.inside or entry.name == self.inside]
        if not entries:
            raise NotFound(f"{self} has no image named {self.inside}")
        if len({entry.digest for entry in entries}) > 1 and not self.inside:
            names = ", ".join(entry.name or entry.digest for entry in entries[:10])
            raise ImageError(f"{self} holds {len(entries)} images: write oci:{self.path}:REF with REF one of {names}")
        return entries[0]


class Files:
    """The files of a folder, by relative names that this package made; symlinks and devices are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, limit: int) -> bytes:
        """Returns a file of at most `limit` bytes. NotFound; Refusal."""
        data = b""
        for chunk in self.chunks(name):
            data += chunk
            if len(data) > limit:
                raise Refusal(f"{self.root}/{name} is larger than {limit} bytes")
        return data

    def chunks(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Yields the bytes of a file from `start` on."""
        try:
            descriptor = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"{self.root} has no {name}") from None
        except OSError as error:
            raise ImageError(f"{self.root}/{name}: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Refusal(f"{self.root}/{name} is not a regular file")
            file.seek(start)
            while chunk := file.read(CHUNK):
                yield chunk


class TarFiles(Files):
    """The files of a tar on the host, by their names in it. The tar is indexed once and read in place."""

    def __init__(self, path: Path) -> None:
        from pipeline.oci.flatten import Flattener

        super().__init__(path)
        with open(path, "rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise ImageError(f"{path} is compressed: unpack it with gunzip first")
            if not path.stat().st_size:
                raise ImageError(f"{path} is empty")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        flattener = Flattener(whiteouts=False)
        placeholder = Digest("sha256:")  # never looked up: slices are read from the mapped file
        try:
            flattener.add(self._data, (Slice(placeholder, 0, len(self._data)),))
        except Refusal as error:
            raise Refusal(f"{path}: {error}") from None
        self.tree = flattener.tree()

    def chunks(self, name: str, start: int = 0) -> Iterator[bytes]:
        file = self.tree.get_file(name)
        if file is None:
            raise NotFound(f"{self.root} has no file {name}")
        for blob, offset, size in cut(file.content, start, max(file.size - start, 0)):
            for position in range(offset, offset + size, CHUNK):
                count = min(CHUNK, offset + size - position)
                yield self._data[position : position + count] if blob is not None else bytes(count)


def _blob_name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
