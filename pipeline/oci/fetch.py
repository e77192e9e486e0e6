"""Fetch: documents and blobs out of sources, every byte checked against the digest and size that were asked for."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from pipeline.host import atomic
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.oci import manifest as manifests
from pipeline.oci.error import ImageError, NotFound, Offline, Refusal, Unreachable
from pipeline.oci.manifest import Descriptor, Index, Manifest
from pipeline.oci.source import Source
from pipeline.store import Missing, Store
from pipeline.store.store import PARTIAL

T = TypeVar("T")

CHUNK = 1 << 20
"""Bytes of an unfinished download that are read at a time."""

Progress = Callable[[int], object]
"""Told how many bytes have been written since it was last told; negative when they turned out useless."""


class FetchedManifest(NamedTuple):
    """A manifest or index as its source gave it, and its digest as computed here."""

    source: Source
    digest: Digest
    data: bytes
    document: Manifest | Index


def manifest(sources: Sequence[Source], wanted: str, what: str) -> FetchedManifest:
    """Manifest or index `wanted` (tag or digest) from the first of `sources` that has it.

    A digest that does not match is Refusal before a byte of it is used; a tag becomes the digest of what came.
    """

    def take(source: Source) -> FetchedManifest:
        named = source.named(wanted)
        data, media_type = source.manifest(named)
        digest = _verified(data, named, str(source))
        return FetchedManifest(source, digest, data, manifests.parse(data, str(source), media_type))

    return _first(sources, take, what)


def small(sources: Sequence[Source], wanted: Descriptor, limit: int, what: str) -> bytes:
    """A small blob (a config), whole and verified."""
    if wanted.size > limit:
        raise Refusal(f"{what}: {wanted.digest} claims {wanted.size} bytes; {limit} is the limit")

    def take(source: Source) -> bytes:
        data = bytearray()
        for chunk in source.blob(wanted.digest, wanted.size):
            data += chunk
            if len(data) > wanted.size:
                break
        _check_size(len(data), wanted, str(source))
        _verified(data, wanted.digest, str(source))
        return bytes(data)

    return _first(sources, take, what)


def blob(
    store: Store, sources: Sequence[Source], wanted: Descriptor, what: str, progress: Progress = lambda size: None
) -> None:
    """Put the blob `wanted` into `store`, unless it is there. What an earlier run left unfinished is gone on with."""
    with store.lock(f"blob-{wanted.digest.hex}"):
        if there(store, wanted, what):
            return
        path = partial(store, wanted.digest)

        def take(source: Source) -> None:
            with store.space():
                _download(source, wanted, path, progress)
            store.adopt(path, wanted.digest)

        _first(sources, take, what)


def partial(store: Store, digest: Digest) -> Path:
    """Where the blob `digest` grows while it is downloaded, by this process or by one that goes on with it."""
    return store.scratch().with_name(f"{PARTIAL}{digest.algorithm}-{digest.hex}")


def there(store: Store, wanted: Descriptor, what: str) -> bool:
    """Whether the blob is in the store, with the size that it should have. A damaged one is removed."""
    if not store.has(wanted.digest):
        return False
    if (size := store.size(wanted.digest)) == wanted.size:
        return True
    with contextlib.suppress(Missing):
        store.verify(wanted.digest)
        _check_size(size, wanted, f"{what}: the store")
    return False


def _download(source: Source, wanted: Descriptor, path: Path, progress: Progress) -> None:
    """Bring the file `path` to its full length and check it; what cannot become right is deleted."""
    resumed, told = path.exists(), 0

    def tell(count: int) -> None:
        nonlocal told
        told += count
        progress(count)

    try:
        with atomic.open_append(path) as file:
            size, digest = _completed(source, wanted, file, tell)
    except ImageError:
        progress(-told)  # whoever goes on tells it again
        raise
    try:
        _check_size(size, wanted, str(source))
        if digest != wanted.digest:
            raise Refusal(f"{source}: its digest is {digest}, not {wanted.digest}")
    except Refusal:
        progress(-told)
        os.unlink(path)
        if not resumed:
            raise
        _download(source, wanted, path, progress)


def _completed(source: Source, wanted: Descriptor, file: BinaryIO, progress: Progress) -> tuple[int, Digest]:
    """Append what `file` lacks of a blob. How many bytes it came to (or would, if they are too many), and their digest.

    What `progress` was told of can be read from the file.
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


def _verified(data: bytes | bytearray, wanted: str, what: str) -> Digest:
    """The digest of `data`: the one in `wanted`, or sha256 if that is a tag."""
    try:
        expected = Digest.parse(wanted)
    except InvalidDigest:
        return Digest.of(bytes(data))
    found = Digest(f"{expected.algorithm}:{hashlib.new(expected.algorithm, data).hexdigest()}")
    if found != expected:
        raise Refusal(f"{what}: its digest is {found}, not {expected}")
    return expected


def _check_size(size: int, wanted: Descriptor, what: str) -> None:
    if size != wanted.size:
        raise Refusal(f"{what}: {wanted.digest} has {'more' if size > wanted.size else size} bytes, not {wanted.size}")


def _first(sources: Sequence[Source], take: Callable[[Source], T], what: str) -> T:
    """What `take` makes of the first source that serves; else one error that says what is wrong with each."""
    failures: list[ImageError] = []
    for source in sources:
        try:
            return take(source)
        except ImageError as error:
            failures.append(error)
    raise _summed_up(failures, what)


def _summed_up(failures: Sequence[ImageError], what: str) -> ImageError:
    if len(failures) == 1 and isinstance(failures[0], Offline):
        return Offline(f"{what}: {failures[0]}")
    kind: type[ImageError] = Refusal if any(isinstance(error, Refusal) for error in failures) else Unreachable
    if all(isinstance(error, NotFound) for error in failures):
        kind = NotFound
    return kind(f"{what}: " + "; ".join(str(error) for error in failures))
