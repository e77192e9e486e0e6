"""Sources: the places that an image may come from, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pipeline.model.digest import Digest
from pipeline.oci import mirror
from pipeline.oci.reference import Reference


class Source(Protocol):
    """A place that gives bytes by name. Its answers are not trusted: `pipeline.oci.fetch` verifies them."""

    def __str__(self) -> str: ...

    def resolve(self, wanted: str) -> str:
        """Returns the digest of `wanted` (a tag or digest) if the source has an index of names; else `wanted`."""
        ...

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        """Returns the bytes and media type ("" if unknown) of the manifest or index `wanted` (a tag or digest).

        NotFound; Unreachable.
        """
        ...

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        """Yields the bytes of a blob from `start` on. size: of the whole blob, as expected."""
        ...


def sources(reference: Reference, mirrors: mirror.Mirrors | None = None) -> list[Source]:
    """Returns the sources of `reference`, in order, without opening them. mirrors: by default the configured ones."""
    from pipeline.oci.layout import Layout

    if reference.transport == "docker-archive":
        from pipeline.oci.archive import DockerArchive

        return [DockerArchive(Path(reference.path), reference.inside)]
    if reference.transport != "registry":
        return [Layout(Path(reference.path), reference.inside)]
    places = mirror.places(reference.registry, mirror.configured() if mirrors is None else mirrors) or ("",)
    return [_source(reference, place, place == places[-1]) for place in places]


def _source(reference: Reference, place: str, is_last: bool) -> Source:
    """Returns `place` as a source. is_last: no other place is asked after it, so failed requests are repeated."""
    if place.startswith("oci"):
        from pipeline.oci.layout import Layout

        return Layout(Path(place.partition(":")[2]), f"{reference.name}:{reference.tag or 'latest'}")
    from pipeline.oci import http
    from pipeline.oci.registry import Registry

    return Registry(reference.registry, reference.repository, place, attempts=http.ATTEMPTS if is_last else 1)
