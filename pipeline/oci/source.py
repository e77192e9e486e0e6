"""Source: a place that images come from, and which of them stand for a reference, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pipeline.model.digest import Digest
from pipeline.oci import mirror
from pipeline.oci.reference import Reference


class Source(Protocol):
    """Gives bytes by name. Nothing of what it says is believed: `pipeline.oci.fetch` checks."""

    def __str__(self) -> str: ...

    def named(self, wanted: str) -> str:
        """The digest that `wanted` (a tag or digest) stands for, where the place has a list of that; else `wanted`."""
        ...

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        """Manifest or index `wanted` (a tag or digest): its bytes, and their media type ("" if unsaid).

        NotFound, or Unreachable.
        """
        ...

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `start` on, in chunks. `size` is what the blob should have."""
        ...


def sources(reference: Reference, mirrors: mirror.Mirrors | None = None) -> list[Source]:
    """Where to look for `reference`, in order. Nothing is opened yet; mirrors default to what is configured."""
    from pipeline.oci.layout import Layout

    if reference.transport == "docker-archive":
        from pipeline.oci.archive import DockerArchive

        return [DockerArchive(Path(reference.path), reference.inside)]
    if reference.transport != "registry":
        return [Layout(Path(reference.path), reference.inside)]
    found: list[Source] = []
    places = mirror.places(reference.registry, mirror.configured() if mirrors is None else mirrors) or ("",)
    for place in places:
        if place.startswith("oci"):
            found.append(Layout(Path(place.partition(":")[2]), f"{reference.name}:{reference.tag or 'latest'}"))
        else:
            from pipeline.oci import http
            from pipeline.oci.registry import Registry

            attempts = http.ATTEMPTS if place == places[-1] else 1
            found.append(Registry(reference.registry, reference.repository, place, attempts=attempts))
    return found
