"""build: nodekiln's own key. What comes out, and how."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pipeline.container import Checked
from pipeline.parts import Context, Part
from pipeline.schema import Pattern, Range, plain

ORDER = 99

COMPAT = "NODEKILN_COMPAT"
"""Environment variable: what `build.compat` is where a spec does not say it."""
FORMATS = ("kernel+initrd",)
"""What is made where the spec does not say."""

Arch = Literal["amd64", "arm64"]
MACHINES: Mapping[str, Arch] = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""What Python calls the host, and what images are called for it; any other host gets amd64."""
Size = Annotated[str, Pattern(r"[0-9]{1,12}[KMGT]?", "a size such as 1024M: digits, and K, M, G or T (powers of 1024)")]
Compression = Annotated[
    str, Pattern(r"none|zstd(:([1-9]|1[0-9]|2[0-2]))?|gzip(:([0-9]|1[0-2]))?", "zstd[:1-22], gzip[:0-12] or none")
]


@dataclass(frozen=True, kw_only=True)
class Build:
    """What comes out of the spec. LinuxKit says these things on its command line."""

    formats: tuple[str, ...] | None = None
    """Output formats, `doit list` shows them. `[kernel+initrd]` by default."""
    arch: Arch | tuple[Arch, ...] | None = None
    """Architecture, or several; the host's by default."""
    compress: Compression | None = None
    """How the initrd is compressed: `zstd[:level]`, `gzip[:level]` or `none`."""
    size: Size | None = None
    """Size of disk images that have one of their own: `1024M`."""
    bootloader: str | None = None
    """Which bootloader disk images get, for formats that know several."""
    append: tuple[str, ...] | None = None
    """More files of this spec, relative to it, appended in this order; then those of NAME.d."""
    compat: Literal["linuxkit"] | None = None
    """`linuxkit` repeats LinuxKit's time stamps and mistakes, for those who compare bytes."""
    epoch: Annotated[int, Range(0, (1 << 32) - 1)] | None = None
    """Time stamp, in seconds since 1970, of what nodekiln makes itself; SOURCE_DATE_EPOCH, else 1980, by default."""
    budget: Mapping[str, Size] | None = None
    """Largest size of an output, by format or by part (`services/sshd`): more is an error."""

    def problems(self) -> Checked:
        for name, values in (("formats", self.formats), ("arch", self.arch if isinstance(self.arch, tuple) else None)):
            if values is not None and (not values or len(set(values)) < len(values)):
                yield (name,), f"build.{name} names one thing twice, or nothing", ""

    def options(self) -> dict[str, Any]:
        """The options that formats may take, as JSON: those that the spec gives."""
        own = ("formats", "arch", "append", "compat", "epoch", "budget")
        return {name: value for name, value in plain(self).items() if name not in own}


Value = Build


@dataclass(frozen=True, kw_only=True)
class Settled(Build):
    """A Build whose defaults are filled in."""

    formats: tuple[str, ...]
    arch: tuple[Arch, ...]


def settled(value: Build) -> Settled:
    """`value`, with the host's architecture and the usual format where it says nothing."""
    arch = value.arch or MACHINES.get(platform.machine(), "amd64")
    said = {field.name: getattr(value, field.name) for field in fields(value)}
    formats = value.formats or FORMATS
    compat = value.compat or os.environ.get(COMPAT) or None
    return Settled(**said | {"formats": formats, "arch": (arch,) if isinstance(arch, str) else arch, "compat": compat})


def parts(value: Build, context: Context, below: tuple[Part, ...]) -> list[Part]:
    return []
