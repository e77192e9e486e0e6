"""Disks with partitions, as `build.size`, `build.label` and `build.partitions` describe them.

The first partition is the volume that the node boots from. Further ones follow it, empty or formatted; their UUIDs
depend on label and size alone, so that they are the same for every node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from pipeline.incremental import memoized
from pipeline.language.problem import StageProblem
from pipeline.model.tree import Content, Slice, Tree, length
from pipeline.ondisk.mbr import FAT, LINUX, LINUX_SWAP
from pipeline.stages import boot_partition
from pipeline.store import Store
from pipeline.writers import FormatError, disk, ext4, fat, gpt, mbr, swap

VERSION = f"1 {boot_partition.VERSION} gpt-{gpt.VERSION} mbr-{mbr.VERSION} swap-{swap.VERSION} ext4-{ext4.VERSION}"
GPT_SPARE, MBR_SPARE = 2 * disk.MIB, disk.MIB
"""Bytes that the tables take: the first MiB, and of a GUID partition table also the last."""
GPT_NAME = "EFI System"
"""Default name of the boot volume."""


class Disk(NamedTuple):
    """The disk options of a spec."""

    size: str | None = None
    """Size of the disk, such as `1024M`; None for the fewest whole MiB with room for everything."""
    label: str | None = None
    """Label of the boot volume."""
    partitions: Sequence[Mapping[str, Any]] = ()
    """JSON objects with label, size, format and type."""

    @property
    def boot(self) -> Mapping[str, Any]:
        """Options of the first partition."""
        first = self.partitions[0] if self.partitions else {}
        return {"label": self.label} | dict(first)

    def boot_size(self, spare: int) -> int | None:
        """Returns the bytes of the first partition: its own, or the whole disk for a single one; None for the least."""
        if "size" in self.boot:
            return disk.size(self.boot["size"], above=0)
        whole = disk.size(self.size)
        return whole - spare if whole and len(self.partitions) < 2 else None


class Ready(NamedTuple):
    """A partition's content, and its type in the tables."""

    content: Content
    mbr_kind: int
    gpt_kind: UUID
    name: str = ""


class Space(NamedTuple):
    """The place of a partition: its number (the first has 0), start and size in bytes, and its label."""

    number: int
    start: int
    size: int
    label: str

    @property
    def hole(self) -> Content:
        return (Slice(None, 0, self.size),)

    def identity(self, purpose: str) -> UUID:
        return disk.identity(f"{purpose} {self.number} {self.label}", self.hole)


def booted(make: Callable[..., boot_partition.Volume], wanted: Disk, spare: int) -> boot_partition.Volume:
    """Returns the first partition, made by `make(size=…, label=…)`. StageProblem if its size is too small."""
    size = wanted.boot_size(spare)
    try:
        return make(size=size, label=wanted.boot["label"])
    except FormatError as error:
        if size is None:
            raise
        raise StageProblem(("partitions", 0, "size") if "size" in wanted.boot else ("size",), str(error)) from None


def write_gpt(
    store: Store, boot: boot_partition.Volume, wanted: Disk, attributes: int = 0, code: bytes = b""
) -> Content:
    """Returns a disk with a GUID partition table. attributes: of the first partition. code: for a BIOS."""
    return write_gpt_of(store, [gpt_volume(boot, wanted, attributes)], wanted, disk.identity, code)


def gpt_volume(boot: boot_partition.Volume, wanted: Disk, attributes: int = 0) -> gpt.GptVolume:
    """Returns the first partition for the table."""
    return gpt.GptVolume(boot.content, wanted.boot["label"] or GPT_NAME, gpt.EFI_SYSTEM, attributes)


def write_gpt_of(
    store: Store, volumes: Sequence[gpt.GptVolume], wanted: Disk, identify: Callable[..., UUID], code: bytes = b""
) -> Content:
    """Returns a disk with a GUID partition table: `volumes`, then the wanted partitions but the first."""
    _refuse_more(wanted, gpt.ENTRIES + 1 - len(volumes))
    rest = _behind(store, sum(length(volume.content) for volume in volumes), wanted, GPT_SPARE)
    volumes = [*volumes, *(gpt.GptVolume(ready.content, ready.name, ready.gpt_kind) for ready in rest)]
    out = store.rope()
    size = disk.size(wanted.size) or sum(length(volume.content) for volume in volumes) + GPT_SPARE
    gpt.write_disk(volumes, size, out, identify, code)
    return out.finish()


def write_mbr(store: Store, boot: boot_partition.Volume, wanted: Disk, purpose: str, code: bytes) -> Content:
    """Returns a disk with a boot record. purpose: part of its identity. code: for a BIOS."""
    _refuse_more(wanted, mbr.MOST)
    rest = _behind(store, length(boot.content), wanted, MBR_SPARE)
    volumes = [mbr.MbrVolume(boot.content, FAT[boot.bits])]
    volumes += [mbr.MbrVolume(ready.content, ready.mbr_kind) for ready in rest]
    out = store.rope()
    size = disk.size(wanted.size) or sum(length(volume.content) for volume in volumes) + MBR_SPARE
    mbr.write_disk(volumes, size, out, lambda *contents: disk.identity(purpose, *contents), code)
    return out.finish()


def _refuse_more(wanted: Disk, most: int) -> None:
    if len(wanted.partitions) > most:
        raise StageProblem(("partitions", most), f"the partition table of this format has room for {most} at most")


def _behind(store: Store, before: int, wanted: Disk, spare: int) -> list[Ready]:
    """Returns all partitions but the first, behind `before` bytes; one without a size fills the disk."""
    whole, start = disk.size(wanted.size), before + disk.MIB
    partitions = []
    for number, options in enumerate(wanted.partitions[1:], 1):
        size = disk.size(options.get("size"), above=0) or (whole or 0) - (spare - disk.MIB) - start
        if whole and start + max(size, disk.MIB) + spare - disk.MIB > whole:
            told = f"{wanted.size} is too small: partition {number + 1} would start at {start // disk.MIB}M"
            raise StageProblem(("size",), told)
        try:
            partitions.append(_formatted(store, Space(number, start, size, options.get("label", "")), options))
        except FormatError as error:
            raise StageProblem(("partitions", number), str(error)) from None
        start += size
    return partitions


def _formatted(store: Store, space: Space, options: Mapping[str, Any]) -> Ready:
    ready = FORMATS[options.get("format", "none")](store, space)
    kind = UUID(options["type"]) if "type" in options else ready.gpt_kind
    return ready._replace(gpt_kind=kind, name=space.label)


def _none(store: Store, space: Space) -> Ready:
    return Ready(space.hole, LINUX, gpt.LINUX_DATA)


def _ext4(store: Store, space: Space) -> Ready:
    out = store.rope()
    ext4.write(Tree(), partial(memoized, store), out, space.size, space.label, journal=True)
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
"""Makers of the contents of a partition, by format."""
