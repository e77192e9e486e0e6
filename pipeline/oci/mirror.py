"""Mirrors: the places that are asked in a registry's stead.

    NODEKILN_MIRROR="docker.io=http://127.0.0.1:5000 ghcr.io=oci:layouts/ghcr *=https://proxy.example/cache"

Separated by spaces; the same, as a list of strings, under `[tool.nodekiln] mirror` in the working folder's
pyproject.toml (the environment goes first). Several mirrors of one registry are tried in order; `*` stands for every
registry without one. A registry that has mirrors is asked only if it is listed too
(`docker.io=https://registry-1.docker.io`).
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
    """Parses `registry=place` entries, in order. ImageError."""
    mirrors: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        registry, _, place = entry.partition("=")
        if not registry or not place.startswith(("http://", "https://", "oci:", "oci-archive:")):
            raise ImageError(f"NODEKILN_MIRROR: {entry!r} is not registry=http://host:port or registry=oci:DIR")
        if "@" in place and not place.startswith("oci"):
            redacted = f"{registry}={place.partition('://')[0]}://…@{place.rpartition('@')[2]}"
            raise ImageError(f"NODEKILN_MIRROR: {redacted} has a password: store it with `docker login`")
        mirrors[registry] = (*mirrors.get(registry, ()), place.rstrip("/"))
    return mirrors


def configured(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> Mirrors:
    """Returns the mirrors of the environment, then those of `folder`'s pyproject.toml."""
    setting = settings.project_settings(folder).get("mirror", [])
    of_project = setting.split() if isinstance(setting, str) else setting
    return parse([*environ.get("NODEKILN_MIRROR", "").split(), *of_project])


def places(registry: str, mirrors: Mirrors) -> tuple[str, ...]:
    """Returns the places to ask for images of `registry`, in order; () for the registry itself."""
    return mirrors.get(registry) or mirrors.get("*", ())
