"""Arches: the architectures that a node may have, as images name them, and texts of a spec that differ between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from pipeline.language.problem import KeyPath, suggestion

Arch = Literal["amd64", "arm64"]
ARCHES: tuple[str, ...] = get_args(Arch)

ByArch = str | Mapping[str, str]
"""One text for all, or one for each architecture: `{amd64: console=ttyS0, arm64: console=ttyAMA0}`."""


def for_arch(value: ByArch, arch: str) -> str | None:
    """What `value` is on `arch`; None if it says nothing about it."""
    return value if isinstance(value, str) else value.get(arch)


def problems(value: ByArch, path: KeyPath) -> Iterator[tuple[KeyPath, str, str]]:
    """What is wrong with the keys of `value`, which stands at `path`."""
    for name in value if isinstance(value, Mapping) else ():
        if name not in ARCHES:
            yield (*path, name), f"{name!r} is no architecture ({', '.join(ARCHES)})", suggestion(name, ARCHES)
