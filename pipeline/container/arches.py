"""Architectures of a node, by the names that images use, and values that differ between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pipeline.language.problem import KeyPath, Violations, suggestion

Arch = Literal["amd64", "arm64"]
ARCHES: tuple[str, ...] = get_args(Arch)

ByArch = str | Mapping[str, str]
"""One string for all architectures, or one for each: `{amd64: console=ttyS0, arm64: console=ttyAMA0}`."""


def for_arch(value: ByArch, arch: str) -> str | None:
    """Returns the string for `arch`; None if there is none."""
    return value if isinstance(value, str) else value.get(arch)


def problems(value: ByArch, path: KeyPath) -> Violations:
    """Yields a violation for every key of `value` that is not an architecture. path: of `value`."""
    for name in value if isinstance(value, Mapping) else ():
        if name not in ARCHES:
            yield (*path, name), f"{name!r} is not an architecture", suggestion(name, ARCHES) or " or ".join(ARCHES)
