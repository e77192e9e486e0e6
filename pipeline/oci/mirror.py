"""Mirrors: where a registry's images really come from.

    NODEKILN_MIRROR="docker.io=http://127.0.0.1:5000 ghcr.io=oci:layouts/ghcr *=https://proxy.example/cache"

Space separated, and the same as a list of strings under `[tool.nodekiln] mirror` in the working folder's pyproject.toml
(the environment goes first). Several for one registry are tried in order; `*` stands for every registry that has none
of its own. A mapped registry is not asked itself unless it is listed too (`docker.io=https://registry-1.docker.io`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.host import settings
from pipeline.oci.error import ImageError

Mirrors = Mapping[str, tuple[str, ...]]
"""Registry -> the places that stand for it, in order: URLs, or `oci:DIR`."""


def parse(entries: Iterable[str]) -> Mirrors:
    """`registry=place` entries as a mapping, in the order given."""
    mirrors: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        registry, _, place = entry.partition("=")
        if not registry or not place.startswith(("http://", "https://", "oci:", "oci-archive:")):
            raise ImageError(f"NODEKILN_MIRROR: {entry!r} is not registry=http://host:port or registry=oci:DIR")
        if "@" in place and not place.startswith("oci"):
            shown = f"{registry}={place.partition('://')[0]}://…@{place.rpartition('@')[2]}"
            raise ImageError(f"NODEKILN_MIRROR: {shown}: no password here: `docker login` keeps it")
        mirrors[registry] = (*mirrors.get(registry, ()), place.rstrip("/"))
    return mirrors


def configured(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> Mirrors:
    """The mirrors of the environment, then those of `folder`'s pyproject.toml."""
    found = settings.project_settings(folder).get("mirror", [])
    of_project = found.split() if isinstance(found, str) else found
    return parse([*environ.get("NODEKILN_MIRROR", "").split(), *of_project])


def places(registry: str, mirrors: Mirrors) -> tuple[str, ...]:
    """Where to ask for images of `registry`, in order; () means the registry itself."""
    return mirrors.get(registry) or mirrors.get("*", ())
