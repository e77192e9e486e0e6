"""FAT12, FAT16 and FAT32 with long names (Microsoft, "FAT: General Overview of On-Disk Format", 1.03; ECMA-107)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.ondisk import fat as ondisk
from pipeline.ondisk.mbr import SECTOR, SIGNATURE
from pipeline.readers import HEADER, MOST_ENTRIES, Listing, Node, Reader, StructureError
from pipeline.readers.view import ConcatView, View, ViewSlice, subview

ENTRY = ondisk.DIR.size
DELETED, FREE = 0xE5, 0x00
LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10
LARGEST_TABLE = 256 << 20
"""Bytes of a table: 64 Mi clusters, 2 TiB in clusters of 32 KiB."""
DEEPEST = 64
"""Directories below each other. A path has at most 260 characters, and a damaged table may make a ring."""


class _Fat(NamedTuple):
    view: View
    bits: int
    cluster: int
    """Bytes of a cluster."""
    data: int
    """Offset of cluster 2."""
    table: bytes
    clusters: int
    root: View
    walked: set[int]
    """First clusters of the directories that were listed: one that comes twice is a ring."""

    def chain(self, first: int) -> ConcatView:
        """Returns the content of the chain of clusters that starts at `first`."""
        extents, number, seen = [], first, 0
        while 2 <= number < self.clusters + 2:
            extents.append(ViewSlice(self.view, self.data + (number - 2) * self.cluster, self.cluster))
            number, seen = self.next(number), seen + 1
            if seen > len(self.table) * 8 // self.bits:
                raise StructureError("a ring of clusters")
        return ConcatView(extents)

    def next(self, number: int) -> int:
        if self.bits == 12:
            pair = int.from_bytes(self.table[number * 3 // 2 : number * 3 // 2 + 2], "little")
            return pair >> 4 if number % 2 else pair & 0xFFF
        if self.bits == 16:
            return int.from_bytes(self.table[number * 2 : number * 2 + 2], "little")
        return int.from_bytes(self.table[number * 4 : number * 4 + 4], "little") & 0x0FFFFFFF


def recognises(view: View) -> bool:
    boot = view.read(0, SECTOR)
    if not boot.endswith(SIGNATURE) or len(boot) < SECTOR or boot[0] not in (0xEB, 0xE9):
        return False
    bpb = ondisk.BPB.unpack(boot)
    sizes = bpb.BPB_BytsPerSec in (512, 1024, 2048, 4096) and bpb.BPB_SecPerClus.bit_count() == 1
    return sizes and bpb.BPB_RsvdSecCnt > 0 and bpb.BPB_NumFATs in (1, 2)


def read(view: View) -> Listing:
    """Every file and directory by its long name, the boot sector's identity at the header."""
    boot = view.read(0, SECTOR)
    bpb = ondisk.BPB.unpack(boot)
    sectors = bpb.BPB_TotSec16 or bpb.BPB_TotSec32
    volume = _volume(view, boot, bpb, sectors)
    extended = ondisk.BPB.size + (ondisk.BPB32.size if volume.bits == 32 else 0)
    bs, code = ondisk.BS.unpack(boot, extended), extended + ondisk.BS.size
    properties: dict[str, str | int] = {
        "type": f"FAT{volume.bits}", "OEM name": _text(bpb.BS_OEMName), "cluster": volume.cluster,
        "serial": f"{bs.BS_VolID:08x}", "label": _text(bs.BS_VolLab), "hidden sectors": bpb.BPB_HiddSec,
    }  # fmt: skip
    listing: dict[str, Node] = {}
    for path, node in _directory(volume, volume.root, "", 0):
        listing[path] = node
        if len(listing) > MOST_ENTRIES:
            raise StructureError(f"more than {MOST_ENTRIES} entries")
    listing["(boot code)"] = Node("code", {}, subview(view, code, SECTOR - len(SIGNATURE) - code))
    listing[HEADER] = Node("volume", properties, None, {"sectors": sectors})
    return listing


def _volume(view: View, boot: bytes, bpb: Any, sectors: int) -> _Fat:
    bpb32, size = ondisk.BPB32.unpack(boot, ondisk.BPB.size), bpb.BPB_BytsPerSec
    cluster, table = bpb.BPB_SecPerClus * size, (bpb.BPB_FATSz16 or bpb32.BPB_FATSz32) * size
    start, root_size = bpb.BPB_RsvdSecCnt * size, bpb.BPB_RootEntCnt * ENTRY
    root_start = start + bpb.BPB_NumFATs * table
    data = root_start + -(-root_size // size) * size
    clusters = (sectors * size - data) // cluster
    bits = next((bits for bits in (32, 16) if clusters >= ondisk.LEAST_CLUSTERS[bits]), 12)
    if table > LARGEST_TABLE:
        raise StructureError("a table of more clusters than FAT has")
    volume = _Fat(view, bits, cluster, data, view.read(start, table), clusters, view, set())
    root = volume.chain(bpb32.BPB_RootClus) if bits == 32 else subview(view, root_start, root_size)
    return volume._replace(root=root)


def _directory(volume: _Fat, content: View, above: str, depth: int) -> Iterator[tuple[str, Node]]:
    if depth > DEEPEST:
        raise StructureError("directories without end")
    long_name = ""
    for offset in range(0, content.size, ENTRY):
        data = content.read(offset, ENTRY)
        if data[0] == FREE:
            return
        entry = ondisk.DIR.unpack(data)
        if data[0] == DELETED:
            long_name = ""
        elif entry.DIR_Attr & ondisk.LONG_NAME_MASK == ondisk.LONG_NAME:
            part = ondisk.LDIR.unpack(data)
            units = part.LDIR_Name1 + part.LDIR_Name2 + part.LDIR_Name3
            long_name = units.decode("utf-16-le", "replace") + long_name
        else:
            name, long_name = long_name.partition("\0")[0] or _short(entry), ""
            if name not in (".", ".."):
                yield from _entry(volume, entry, above + name, depth)


def _entry(volume: _Fat, entry: Any, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    first = entry.DIR_FstClusLO | entry.DIR_FstClusHI << 16 if volume.bits == 32 else entry.DIR_FstClusLO
    created = f"{_time(entry.DIR_CrtDate, entry.DIR_CrtTime)}.{entry.DIR_CrtTimeTenth:02}"
    properties: dict[str, str | int] = {
        "attributes": f"0x{entry.DIR_Attr:02x}", "modified": _time(entry.DIR_WrtDate, entry.DIR_WrtTime),
        "created": created, "accessed": _time(entry.DIR_LstAccDate, 0)[:10], "short name": _short(entry),
    }  # fmt: skip
    if entry.DIR_Attr & ondisk.VOLUME_ID:
        yield "(label)", Node("label", properties | {"label": _text(entry.DIR_Name)}, None)
    elif entry.DIR_Attr & ondisk.DIRECTORY:
        if first in volume.walked:
            raise StructureError("a directory in two places")
        volume.walked.add(first)
        yield path, Node("directory", properties, None, {"cluster": first})
        yield from _directory(volume, volume.chain(first), path + "/", depth + 1)
    else:
        yield path, Node("file", properties, subview(volume.chain(first), 0, entry.DIR_FileSize), {"cluster": first})


def _time(date: int, time: int) -> str:
    day = f"{1980 + (date >> 9)}-{date >> 5 & 15:02}-{date & 31:02}"
    return f"{day} {time >> 11:02}:{time >> 5 & 63:02}:{(time & 31) * 2:02}"


def _short(entry: Any) -> str:
    base, extension = _text(entry.DIR_Name[:8]), _text(entry.DIR_Name[8:])
    base = base.lower() if entry.DIR_NTRes & LOWER_BASE else base
    extension = extension.lower() if entry.DIR_NTRes & LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def _text(raw: bytes) -> str:
    return raw.decode("cp437").rstrip()


READER = Reader("FAT", recognises, read, order=30)
