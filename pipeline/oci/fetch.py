"""Manifests and blobs out of sources, every byte verified against the expected digest and size."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from pipeline.host import atomic
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.oci import manifest as manifests
from pipeline.oci.error import ImageError, NotFound, Offline, Refusal, Unreachable
from pipeline.oci.manifest import Descriptor, Index, Manifest
from pipeline.oci.progress import Progress
from pipeline.oci.source import Source
from pipeline.store import CHUNK, Missing, Store
from pipeline.store.store import PARTIAL

T = TypeVar("T")


class FetchedManifest(NamedTuple):
    """A manifest or index as its source gave it, and the digest of its bytes."""

    source: Source
    digest: Digest
    data: bytes
    document: Manifest | Index


def manifest(sources: Sequence[Source], wanted: str, subject: str) -> FetchedManifest:
    """Returns the manifest or index `wanted` (tag or digest) from the first of `sources` that has it.

    subject: for messages. Data that does not have the digest `wanted` is a Refusal before it is parsed.
    """

    def take(source: Source) -> FetchedManifest:
        name = source.resolve(wanted)
        data, media_type = source.manifest(name)
        digest = _verify(data, name, str(source))
        return FetchedManifest(source, digest, data, manifests.parse(data, str(source), media_type))

    return _first(sources, take, subject)


def small(sources: Sequence[Source], wanted: Descriptor, limit: int, subject: str) -> bytes:
    """Returns a small blob (a config), verified."""
    check_limit(wanted, limit, subject)

    def take(source: Source) -> bytes:
        data = bytearray()
        for chunk in source.blob(wanted.digest, wanted.size):
            data += chunk
            if len(data) > wanted.size:
                break
        _check_size(len(data), wanted, str(source))
        _verify(data, wanted.digest, str(source))
        return bytes(data)

    return _first(sources, take, subject)


def check_limit(blob: Descriptor, limit: int, subject: str) -> None:
    if blob.size > limit:
        raise Refusal(f"{subject}: {blob.digest} claims {blob.size} bytes; {limit} is the limit")


def blob(
    store: Store, sources: Sequence[Source], wanted: Descriptor, subject: str, progress: Progress = lambda size: None
) -> None:
    """Puts the blob `wanted` into `store`, unless it is there. Resumes a partial download."""
    with store.lock(f"blob-{wanted.digest.hex}"):
        if is_stored(store, wanted, subject):
            return
        path = partial_path(store, wanted.digest)

        def take(source: Source) -> None:
            with store.space():
                _download(source, wanted, path, progress)
            store.adopt(path, wanted.digest)

        _first(sources, take, subject)


def partial_path(store: Store, digest: Digest) -> Path:
    """Returns the path of the blob `digest` while it is downloaded, by this process or by one that resumes it."""
    return store.scratch().with_name(f"{PARTIAL}{digest.algorithm}-{digest.hex}")


def is_stored(store: Store, wanted: Descriptor, subject: str) -> bool:
    """Returns whether the store has the blob. A damaged one is removed. Refusal if the descriptor's size is wrong."""
    if not store.has(wanted.digest):
        return False
    if (size := store.size(wanted.digest)) == wanted.size:
        return True
    with contextlib.suppress(Missing):
        store.verify(wanted.digest)
        _check_size(size, wanted, f"{subject}: the store")
    return False


def _download(source: Source, wanted: Descriptor, path: Path, progress: Progress) -> None:
    """Completes and verifies the file `path`; deletes one that is wrong, and starts over if it was resumed."""
    resumed, reported = path.exists(), 0

    def report(count: int) -> None:
        nonlocal reported
        reported += count
        progress(count)

    try:
        with atomic.open_append(path) as file:
            size, digest = _append(source, wanted, file, report)
    except ImageError:
        progress(-reported)  # the next attempt reports these bytes again
        raise
    try:
        _check_size(size, wanted, str(source))
        _check_digest(digest, wanted.digest, str(source))
    except Refusal:
        progress(-reported)
        path.unlink()
        if not resumed:
            raise
        _download(source, wanted, path, progress)


def _append(source: Source, wanted: Descriptor, file: BinaryIO, progress: Progress) -> tuple[int, Digest]:
    """Appends the rest of a blob to `file`; returns the size (the first that is too large) and digest of the whole.

    Bytes are reported to `progress` once they can be read from the file.
    """
    digest = hashlib.new(wanted.digest.algorithm)
    file.seek(0)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    size = file.tell()
    progress(size)
    for chunk in source.blob(wanted.digest, wanted.size, size) if size < wanted.size or not size else ():
        size += len(chunk)
        if size > wanted.size:
            break
        digest.update(chunk)
        file.write(chunk)
        file.flush()
        progress(len(chunk))
    return size, Digest(f"{wanted.digest.algorithm}:{digest.hexdigest()}")


def _verify(data: bytes | bytearray, wanted: str, subject: str) -> Digest:
    """Returns the digest of `data`, which must be `wanted`; by sha256 if that is a tag."""
    try:
        expected = Digest.parse(wanted)
    except InvalidDigest:
        return Digest.of(bytes(data))
    digest = Digest(f"{expected.algorithm}:{hashlib.new(expected.algorithm, data).hexdigest()}")
    _check_digest(digest, expected, subject)
    return expected


def _check_digest(digest: Digest, expected: Digest, subject: str) -> None:
    if digest != expected:
        raise Refusal(f"{subject}: its digest is {digest}, not {expected}")


def _check_size(size: int, wanted: Descriptor, subject: str) -> None:
    if size != wanted.size:
        actual = "more" if size > wanted.size else size
        raise Refusal(f"{subject}: {wanted.digest} has {actual} bytes, not {wanted.size}")


def _first(sources: Sequence[Source], take: Callable[[Source], T], subject: str) -> T:
    """Returns `take(source)` for the first source where it succeeds; else raises one error about all of them."""
    errors: list[ImageError] = []
    for source in sources:
        try:
            return take(source)
        except ImageError as error:
            errors.append(error)
    raise _combined(errors, subject)


def _combined(errors: Sequence[ImageError], subject: str) -> ImageError:
    if len(errors) == 1 and isinstance(errors[0], Offline):
        return Offline(f"{subject}: {errors[0]}")
    is_refused = any(isinstance(error, Refusal) for error in errors)
    is_absent = all(isinstance(error, NotFound) for error in errors)
    kind = NotFound if is_absent else Refusal if is_refused else Unreachable
    return kind(f"{subject}: " + "; ".join(map(str, errors)))
