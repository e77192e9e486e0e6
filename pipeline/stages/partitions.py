"""Disks with partitions, as `build.size`, `build.label` and `build.partitions` describe them.

The first partition is the volume that the node boots from; what else a spec asks for comes behind it, empty or
formatted. Its identity follows from what it is called and how large it is, so another node does not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from pipeline.language.problem import StageProblem
from pipeline.model.tree import Content, Slice, Tree, length
from pipeline.ondisk.mbr import FAT, LINUX, LINUX_SWAP
from pipeline.stages import bootvolume
from pipeline.stages.kept import kept
from pipeline.store import Store
from pipeline.writers import FormatError, disk, ext4, fat, gpt, mbr, swap

VERSION = f"1 {bootvolume.VERSION} gpt-{gpt.VERSION} mbr-{mbr.VERSION} swap-{swap.VERSION} ext4-{ext4.VERSION}"
GPT_SPARE, MBR_SPARE = 2 * disk.MIB, disk.MIB
"""What the tables take: the first MiB, and of a GUID partition table the last."""
GPT_NAME = "EFI System"
"""Of the volume that is booted, unless the spec gives it a label."""


class Disk(NamedTuple):
    """What a spec says of the disk: the options of the formats that are one."""

    size: str | None = None
    """Of all of it: `1024M`, `2G`; the smallest of whole MiB that has room for everything if None."""
    label: str | None = None
    """Of the volume that is booted."""
    partitions: Sequence[Mapping[str, Any]] = ()
    """As JSON: label, size, format, type."""

    @property
    def boot(self) -> Mapping[str, Any]:
        """What the first partition is to be."""
        first = self.partitions[0] if self.partitions else {}
        return {"label": self.label} | dict(first)

    def boot_size(self, spare: int) -> int | None:
        """Bytes of the first partition: its own size, or the whole disk for a single one; None for the smallest."""
        if "size" in self.boot:
            return disk.size(self.boot["size"], above=0)
        whole = disk.size(self.size)
        return whole - spare if whole and len(self.partitions) < 2 else None


class Ready(NamedTuple):
    """A partition's content, and what the tables call its kind."""

    content: Content
    mbr_kind: int
    gpt_kind: UUID
    name: str = ""


class Space(NamedTuple):
    """Where a partition is to be: its number (the first has 0), start and size in bytes, label."""

    number: int
    start: int
    size: int
    label: str

    @property
    def hole(self) -> Content:
        return (Slice(None, 0, self.size),)

    def identity(self, purpose: str) -> UUID:
        return disk.identity(f"{purpose} {self.number} {self.label}", self.hole)


def booted(make: Callable[..., bootvolume.Volume], wanted: Disk, spare: int) -> bootvolume.Volume:
    """The first partition, made by `make(size=…, label=…)`; a problem of its size, if it has one that is too small."""
    size = wanted.boot_size(spare)
    try:
        return make(size=size, label=wanted.boot["label"])
    except FormatError as error:
        if size is None:
            raise
        raise StageProblem(("partitions", 0, "size") if "size" in wanted.boot else ("size",), str(error)) from None


def write_gpt(store: Store, boot: bootvolume.Volume, wanted: Disk, attributes: int = 0, code: bytes = b"") -> Content:
    """A disk with a GUID partition table. attributes, code: of the first partition, and for a BIOS."""
    return write_gpt_of(store, [gpt_volume(boot, wanted, attributes)], wanted, disk.identity, code)


def gpt_volume(boot: bootvolume.Volume, wanted: Disk, attributes: int = 0) -> gpt.GptVolume:
    """The first partition as the table has it."""
    return gpt.GptVolume(boot.content, wanted.boot["label"] or GPT_NAME, gpt.EFI_SYSTEM, attributes)


def write_gpt_of(
    store: Store, volumes: Sequence[gpt.GptVolume], wanted: Disk, identify: Callable[..., UUID], code: bytes = b""
) -> Content:
    """A disk with a GUID partition table: `volumes` first, then all that is wanted behind the first partition."""
    _refuse_more(wanted, gpt.ENTRIES + 1 - len(volumes))
    rest = _behind(store, sum(length(volume.content) for volume in volumes), wanted, GPT_SPARE)
    volumes = [*volumes, *(gpt.GptVolume(each.content, each.name, each.gpt_kind) for each in rest)]
    out = store.rope()
    size = disk.size(wanted.size) or sum(length(volume.content) for volume in volumes) + GPT_SPARE
    gpt.write_disk(volumes, size, out, identify, code)
    return out.finish()


def write_mbr(store: Store, boot: bootvolume.Volume, wanted: Disk, purpose: str, code: bytes) -> Content:
    """A disk with a boot record. purpose: what its identity is for; code: what a BIOS starts."""
    _refuse_more(wanted, mbr.MOST)
    rest = _behind(store, length(boot.content), wanted, MBR_SPARE)
    volumes = [mbr.MbrVolume(boot.content, FAT[boot.bits])]
    volumes += [mbr.MbrVolume(each.content, each.mbr_kind) for each in rest]
    out = store.rope()
    size = disk.size(wanted.size) or sum(length(volume.content) for volume in volumes) + MBR_SPARE
    mbr.write_disk(volumes, size, out, lambda *contents: disk.identity(purpose, *contents), code)
    return out.finish()


def _refuse_more(wanted: Disk, most: int) -> None:
    if len(wanted.partitions) > most:
        raise StageProblem(("partitions", most), f"the partition table of this format has room for {most} at most")


def _behind(store: Store, before: int, wanted: Disk, spare: int) -> list[Ready]:
    """All partitions but the first, behind `before` bytes of others; the last may take what is left of the disk."""
    whole, start = disk.size(wanted.size), before + disk.MIB
    found = []
    for number, each in enumerate(wanted.partitions[1:], 1):
        size = disk.size(each.get("size"), above=0) or (whole or 0) - (spare - disk.MIB) - start
        if whole and start + max(size, disk.MIB) + spare - disk.MIB > whole:
            told = f"{wanted.size} is too small: partition {number + 1} would start at {start // disk.MIB}M"
            raise StageProblem(("size",), told)
        try:
            found.append(_formatted(store, Space(number, start, size, each.get("label", "")), each))
        except FormatError as error:
            raise StageProblem(("partitions", number), str(error)) from None
        start += size
    return found


def _formatted(store: Store, space: Space, each: Mapping[str, Any]) -> Ready:
    ready = FORMATS[each.get("format", "none")](store, space)
    kind = UUID(each["type"]) if "type" in each else ready.gpt_kind
    return ready._replace(gpt_kind=kind, name=space.label)


def _none(store: Store, space: Space) -> Ready:
    return Ready(space.hole, LINUX, gpt.LINUX_DATA)


def _ext4(store: Store, space: Space) -> Ready:
    out = store.rope()
    ext4.write(Tree(), partial(kept, store), out, space.size, space.label, journal=True)
    return Ready(out.finish(), LINUX, gpt.LINUX_DATA)


def _swap(store: Store, space: Space) -> Ready:
    out = store.rope()
    swap.write(space.size, out, space.label, space.identity("swap"))
    return Ready(out.finish(), LINUX_SWAP, gpt.LINUX_SWAP)


def _fat(store: Store, space: Space) -> Ready:
    out, plan = store.rope(), fat.plan(Tree(), space.size)
    sector = fat.boot_sector(plan, space.label, space.identity("fat").time_low, space.start // disk.SECTOR)
    fat.write(plan, out, space.label, sector)
    return Ready(out.finish(), FAT[plan.geometry.bits], gpt.BASIC_DATA)


FORMATS: Mapping[str, Callable[[Store, Space], Ready]] = {"none": _none, "ext4": _ext4, "swap": _swap, "fat": _fat}
"""What a partition may hold."""
