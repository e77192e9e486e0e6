"""Layout: an OCI image layout (image-spec, image-layout.md) as a source: a folder, or a tar of one."""

from __future__ import annotations

import mmap
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.model.digest import Digest, InvalidDigest
from pipeline.model.tree import Content, Slice, cut, length
from pipeline.oci import manifest as manifests
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.manifest import MANIFEST_LIMIT, Descriptor

CHUNK = 1 << 20
INDEX_LIMIT = 16 << 20
"""Bytes of a layout's index.json: tens of thousands of images."""


class Layout:
    """The layout at `path`. `inside` is the image's name there (annotation org.opencontainers.image.ref.name)."""

    def __init__(self, path: Path, inside: str = "") -> None:
        self.path = path
        self.inside = inside
        self._files: Files | None = None

    def __str__(self) -> str:
        return f"oci:{self.path}"

    def named(self, wanted: str) -> str:
        entry = self._entry(wanted)
        return entry.digest if entry else wanted

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        entry = self._entry(wanted)
        size = entry.size if entry else MANIFEST_LIMIT
        digest = entry.digest if entry else Digest.parse(wanted)
        if size > MANIFEST_LIMIT:
            raise Refusal(f"{self}: the manifest {digest} claims {size} bytes; {MANIFEST_LIMIT} is the limit")
        return self.files.read(_place(digest), MANIFEST_LIMIT), entry.media_type if entry else ""

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        return self.files.chunks(_place(digest), start)

    @property
    def files(self) -> Files:
        if self._files is None:
            self._files = files(self.path)
        return self._files

    def _entry(self, wanted: str) -> Descriptor | None:
        """What index.json says of the image; None for a digest that it does not list."""
        what = f"{self}: index.json"
        index = manifests.parse(self.files.read("index.json", INDEX_LIMIT), what, manifests.INDEXES[0])
        if isinstance(index, manifests.Manifest):
            raise Refusal(f"{what}: no index")
        try:
            digest = Digest.parse(wanted)
        except InvalidDigest:
            pass
        else:
            return next((entry for entry in index if entry.digest == digest), None)
        found = [entry for entry in index if not self.inside or entry.name == self.inside]
        if not found:
            raise NotFound(f"{self} has no image named {self.inside}")
        if len({entry.digest for entry in found}) > 1 and not self.inside:
            names = ", ".join(entry.name or entry.digest for entry in found[:10])
            raise ImageError(f"{self} holds {len(found)} images: write oci:{self.path}:REF with REF one of {names}")
        return found[0]


class Files:
    """Files of a folder, by relative names of our own making; symlinks and specials are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, limit: int) -> bytes:
        """A small file, whole; NotFound, or Refusal if it is larger than `limit` bytes."""
        data = b"".join(self.chunks(name, 0, limit + 1))
        if len(data) > limit:
            raise Refusal(f"{self.root}/{name} is larger than {limit} bytes")
        return data

    def chunks(self, name: str, start: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """The bytes of a file from `start` on, at most `limit` of them."""
        import os

        try:
            descriptor = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"{self.root} has no {name}") from None
        except OSError as error:
            raise ImageError(f"{self.root}/{name}: {error.strerror}") from None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Refusal(f"{self.root}/{name} is no regular file")
            file.seek(start)
            while limit != 0 and (chunk := file.read(CHUNK if limit is None else min(CHUNK, limit))):
                yield chunk
                limit = None if limit is None else limit - len(chunk)


class Archive(Files):
    """Files of a tar on the host, by their names in it. The tar is indexed once and read in place."""

    def __init__(self, path: Path) -> None:
        from pipeline.oci.flatten import Flattener

        super().__init__(path)
        with open(path, "rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise ImageError(f"{path} is compressed: unpack it with gunzip first")
            if not path.stat().st_size:
                raise ImageError(f"{path} is empty")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        whole = Flattener(whiteouts=False)
        itself = Digest("sha256:")  # never looked up: slices are read from the mapped file
        try:
            whole.add(self._data, (Slice(itself, 0, len(self._data)),))
        except Refusal as error:
            raise Refusal(f"{path}: {error}") from None
        self.tree = whole.tree()

    def size(self, name: str) -> int:
        return length(self._content(name))

    def chunks(self, name: str, start: int = 0, limit: int | None = None) -> Iterator[bytes]:
        content = self._content(name)
        rest = max(length(content) - start, 0)
        for blob, offset, size in cut(content, start, rest if limit is None else min(rest, limit)):
            for at in range(offset, offset + size, CHUNK):
                count = min(CHUNK, offset + size - at)
                yield self._data[at : at + count] if blob is not None else bytes(count)

    def _content(self, name: str) -> Content:
        file = self.tree.get_file(name)
        if file is None:
            raise NotFound(f"{self.root} has no file {name}")
        return file.content


def files(path: Path) -> Files:
    """The files of a folder or of a tar."""
    if path.is_dir():
        return Files(path)
    if path.is_file():
        return Archive(path)
    raise NotFound(f"{path}: no such folder or file")


def _place(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
