"""FAT16 and FAT32 file systems with long names, every file in one piece.

Source: Microsoft FAT Specification (2005-08-30), whose field names the comments use; UEFI 2.10, 13.3, asks for it on an
EFI system partition. `plan` says where everything will lie, so that a boot loader that keeps a sector map can be fitted
to it; `write` puts it there. Time stamps are UTC. FAT has neither owners, modes, links nor devices.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.model.tree import Directory, Entry, File, Sink, parent
from pipeline.ondisk import fat as ondisk
from pipeline.ondisk.mbr import SECTOR, SIGNATURE
from pipeline.writers import FormatError, TooLarge, fatname
from pipeline.writers.extents import to_bytes

VERSION = 1
GRAIN = 2048
"""Sectors of a MiB. Without a given size, a volume ends at a whole MiB."""
ALIGNED = 8
"""The data area starts at a multiple of 4 KiB."""
LARGEST_FILE = (1 << 32) - 1
"""Maximum size of a file, in bytes (section 6, DIR_FileSize: 32 bits)."""
MOST_SECTORS = (1 << 32) - 1
"""Maximum number of sectors of a volume, and in front of it: 2 TiB (section 3.1, BPB_TotSec32 and BPB_HiddSec)."""
LARGEST_ROOT = 0xFFFF // 16
"""Maximum size of FAT16's root directory, in sectors of 16 entries (section 3.1, BPB_RootEntCnt: 16 bits)."""
CLUSTERS = {16: (ondisk.LEAST_CLUSTERS[16], ondisk.LEAST_CLUSTERS[32] - 1), 32: (ondisk.LEAST_CLUSTERS[32], 0x0FFFFFF5)}
"""Minimum and maximum number of clusters of a volume."""
END = {16: 0xFFFF, 32: 0x0FFFFFFF}
MEDIA = 0xF8
STEP = 4096
ROOT_ENTRIES = 512
"""Least size of FAT16's root directory, which cannot grow."""
EARLIEST, LATEST = 315532800, 4354819198
"""Earliest and latest DOS time stamp, 1980-01-01 to 2107-12-31 23:59:58. One outside is moved to the nearest end."""


class FatGeometry(NamedTuple):
    """The areas of a volume, in sectors."""

    bits: int
    sectors: int
    cluster: int
    reserved: int
    table: int
    root: int
    """FAT16's root directory; 0 in FAT32."""

    @property
    def data(self) -> int:
        """The sector of cluster 2, the first there is."""
        return self.reserved + 2 * self.table + self.root

    @property
    def clusters(self) -> int:
        return (self.sectors - self.data) // self.cluster


class FatLayout(NamedTuple):
    """A volume before it is written: its geometry, and the first cluster and the size of everything in it."""

    geometry: FatGeometry
    tree: Mapping[str, Entry]
    places: Mapping[str, tuple[int, int]]
    """path -> first cluster (0 for what is empty), size in bytes; in the order of clusters."""

    @property
    def size(self) -> int:
        """Bytes of the whole volume."""
        return self.geometry.sectors * SECTOR

    def sector(self, path: str) -> int:
        """The first sector of the file `path`, counted from the start of the volume."""
        return self.geometry.data + (self.places[path][0] - 2) * self.geometry.cluster


def plan(tree: Mapping[str, Entry], size: int | None = None) -> FatLayout:
    """Lays out the ordered, complete `tree` in a volume of `size` bytes, or the smallest whole MiB that holds it.

    FormatError for what FAT cannot hold, and for a `size` that is too small or too large.
    """
    if (size or 0) // SECTOR > MOST_SECTORS:
        raise _too_large(size or 0)
    children = _children(tree)
    sizes = {path: entry.size for path, entry in tree.items() if type(entry) is File}
    lengths = {path: fatname.room(names, path) for path, names in children.items()}
    total = sum(sizes.values()) + sum(lengths.values())
    for bits, cluster in _choices(size or total):
        root = max(ROOT_ENTRIES * ondisk.DIR.size, lengths[""]) // SECTOR if bits == 16 else 0
        wanted = {path: count for path, count in (lengths | sizes).items() if path or not root}
        needed = sum(-(-count // (cluster * SECTOR)) for count in wanted.values())
        geometry = _fit(bits, cluster, root, needed, size) if root <= LARGEST_ROOT else None
        if geometry is not None and geometry.sectors > MOST_SECTORS:
            raise _too_large(geometry.sectors * SECTOR)
        if geometry is not None:
            return FatLayout(geometry, tree, _places(wanted, geometry))
    raise FormatError(f"a FAT volume of {size or total} bytes cannot hold {total} bytes of files: give it another size")


def _too_large(size: int) -> FormatError:
    return FormatError(f"a FAT volume of {size} bytes; FAT has room for {MOST_SECTORS * SECTOR}: give it another size")


def boot_sector(plan: FatLayout, label: str, serial: int, hidden: int) -> bytes:
    """The first sector (BPB, section 3) of a volume that starts `hidden` sectors into its disk; it holds no code.

    FormatError for a label or a place that FAT has no room for.
    """
    g = plan.geometry
    if hidden > MOST_SECTORS:
        room = f"a FAT volume that starts at byte {hidden * SECTOR}; FAT has room for {MOST_SECTORS * SECTOR}"
        raise FormatError(f"{room}: put it in front of the other partitions")
    small = g.sectors if g.sectors < 65536 and g.bits == 16 else 0
    data = ondisk.BPB.pack(
        BS_OEMName=b"NODEKILN", BPB_BytsPerSec=SECTOR, BPB_SecPerClus=g.cluster, BPB_RsvdSecCnt=g.reserved,
        BPB_RootEntCnt=g.root * SECTOR // ondisk.DIR.size, BPB_Media=MEDIA, BPB_FATSz16=g.table if g.bits == 16 else 0,
        BPB_SecPerTrk=63, BPB_NumHeads=255, BPB_HiddSec=hidden, BPB_TotSec16=small,
        BPB_TotSec32=0 if small else g.sectors,
    )  # fmt: skip
    if g.bits == 32:
        data += ondisk.BPB32.pack(BPB_FATSz32=g.table, BPB_RootClus=2, BPB_FSInfo=1, BPB_BkBootSec=6)
    data += ondisk.BS.pack(BS_VolID=serial, BS_VolLab=fatname.label(label), BS_FilSysType=b"FAT%d   " % g.bits)
    return data.ljust(SECTOR - len(SIGNATURE), b"\0") + SIGNATURE


def write(plan: FatLayout, out: Sink, label: str, boot: bytes) -> None:
    """Writes the volume with the first sector `boot` (from `boot_sector`, perhaps with a loader's code in it)."""
    geometry, start = plan.geometry, out.tell()
    used = max((first + _count(size, geometry) for first, size in plan.places.values() if first), default=2)
    out.write(boot)
    if geometry.bits == 32:
        information = _information(geometry.clusters + 2 - used, used)
        out.write(information + _third() + bytes(3 * SECTOR) + boot + information + _third())
    out.zeros(geometry.reserved * SECTOR - (out.tell() - start))
    for _ in range(2):
        table = _table(plan, used)
        out.write(table)
        out.zeros(geometry.table * SECTOR - len(table))
    children = _children(plan.tree)
    if geometry.root:
        out.write(_directory(plan, "", children[""], label).ljust(geometry.root * SECTOR, b"\0"))
    for path, (first, size) in plan.places.items():
        entry = plan.tree.get(path)
        if type(entry) is File:
            out.extend(entry.content)
        else:
            out.write(_directory(plan, path, children[path], label).ljust(size, b"\0"))
        out.zeros(-size % (geometry.cluster * SECTOR) if first else 0)
    out.zeros(plan.size - (out.tell() - start))


def _children(tree: Mapping[str, Entry]) -> dict[str, list[str]]:
    """Directory -> the names in it. FormatError for whatever FAT has no form for."""
    children: dict[str, list[str]] = {"": []}
    for path, entry in tree.items():
        if type(entry) is Directory:
            children.setdefault(path, [])
        elif type(entry) is not File:
            raise FormatError(f"{path}: a {type(entry).__name__.lower()}; FAT holds only files and directories")
        elif entry.size > LARGEST_FILE:
            raise TooLarge(path, entry.size, "FAT", LARGEST_FILE)
        if path:
            children[parent(path)].append(path.rpartition("/")[2])
    return children


def _choices(size: int) -> Iterator[tuple[int, int]]:
    """(bits, sectors a cluster) for about `size` bytes, the best first."""
    yield from ((16, cluster) for cluster in (1, 2, 4) if size < CLUSTERS[32][0] * SECTOR)
    largest = 8
    while largest < 64 and size > largest << 30:
        largest *= 2
    cluster = largest
    while cluster > 1 and size // (cluster * SECTOR) < CLUSTERS[32][0] + 1024:
        cluster //= 2
    yield 32, cluster
    yield 16, 2  # between the two: a volume of 32 MiB has too many of FAT16's smallest clusters, and too few of FAT32's


def _fit(bits: int, cluster: int, root: int, needed: int, size: int | None) -> FatGeometry | None:
    """The geometry with room for `needed` clusters, if there is one."""
    low, high = CLUSTERS[bits]
    if size is not None:
        geometry = _geometry(bits, size // SECTOR, cluster, root)
        return geometry if max(low, needed) <= geometry.clusters <= high else None
    sectors = max(low, needed) * cluster
    while True:
        sectors += -sectors % GRAIN
        geometry = _geometry(bits, sectors, cluster, root)
        missing = max(low, needed) - geometry.clusters
        if missing <= 0:
            return geometry if geometry.clusters <= high else None
        sectors += missing * cluster


def _geometry(bits: int, sectors: int, cluster: int, root: int) -> FatGeometry:
    reserved = 32 if bits == 32 else 1
    entries = SECTOR * 8 // bits
    table = -(-(sectors - reserved - root + 2 * cluster) // (cluster * entries + 2))
    reserved += -(reserved + 2 * table + root) % ALIGNED
    return FatGeometry(bits, sectors, cluster, reserved, table, root)


def _count(size: int, geometry: FatGeometry) -> int:
    return -(-size // (geometry.cluster * SECTOR))


def _places(wanted: Mapping[str, int], geometry: FatGeometry) -> dict[str, tuple[int, int]]:
    """First cluster and size of everything, directories first."""
    places = {}
    free = 2
    for path, size in wanted.items():
        places[path] = (free if size else 0, size)
        free += _count(size, geometry)
    return places


def _table(plan: FatLayout, used: int) -> bytes:
    """The file allocation table up to the last used cluster: every chain counts upwards (section 4)."""
    bits = plan.geometry.bits
    table = array("H", range(1, used + 1)) if bits == 16 else _counting(used)
    table[0], table[1] = END[bits] & ~0xFF | MEDIA, END[bits]
    for first, size in plan.places.values():
        if first:
            table[first + _count(size, plan.geometry) - 1] = END[bits]
    return to_bytes(table, "little")


def _counting(count: int) -> array[int]:
    """1, 2, 3, … `count`: STEP numbers at a time are one addition of long integers, which is faster than one by one."""
    table, ones = array("I", range(1, STEP + 1)), array("I", [1] * STEP)
    first, more = (int.from_bytes(numbers.tobytes(), sys.byteorder) for numbers in (table, ones))
    for above in range(STEP, count, STEP):
        table.frombytes((first + above * more).to_bytes(STEP * table.itemsize, sys.byteorder))
    return table[:count]


def _information(free: int, next_free: int) -> bytes:
    """FSInfo (section 5)."""
    return ondisk.FSINFO.pack(FSI_Free_Count=free, FSI_Nxt_Free=next_free)


def _third() -> bytes:
    """The third sector of FAT32's boot region: empty, but signed."""
    return bytes(SECTOR - len(SIGNATURE)) + SIGNATURE


def _directory(plan: FatLayout, path: str, names: list[str], label: str) -> bytes:
    """The records of the directory `path`, which holds `names` (section 6)."""
    own, above = plan.tree.get(path), plan.tree.get(parent(path))
    rows: list[bytes] = []
    if path:
        upper = plan.places.get(parent(path), (0, 0))[0] if parent(path) else 0
        rows.append(_record(b".          ", ondisk.DIRECTORY, own, plan.places[path][0], 0))
        rows.append(_record(b"..         ", ondisk.DIRECTORY, above, upper, 0))
    elif label:
        rows.append(_record(fatname.label(label), ondisk.VOLUME_ID, own, 0, 0))
    short = fatname.short_names(names)
    for name in names:
        child = f"{path}/{name}" if path else name
        entry, (first, size) = plan.tree[child], plan.places[child]
        directory = type(entry) is Directory
        rows.append(fatname.long_records(name, short[name]))
        attributes = ondisk.DIRECTORY if directory else ondisk.ARCHIVE
        rows.append(_record(short[name], attributes, entry, first, 0 if directory else size))
    return b"".join(rows)


def _record(name: bytes, attributes: int, entry: Entry | None, first: int, size: int) -> bytes:
    date, clock = _stamp(entry.mtime if entry else EARLIEST)
    return ondisk.DIR.pack(
        DIR_Name=name, DIR_Attr=attributes, DIR_CrtTime=clock, DIR_CrtDate=date, DIR_LstAccDate=date,
        DIR_WrtTime=clock, DIR_WrtDate=date, DIR_FstClusHI=first >> 16, DIR_FstClusLO=first & 0xFFFF, DIR_FileSize=size,
    )  # fmt: skip


def _stamp(mtime: int) -> tuple[int, int]:
    """A DOS date and time, in UTC."""
    t = time.gmtime(min(max(mtime, EARLIEST), LATEST))
    return (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday, t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2
