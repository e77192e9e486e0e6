"""ISO 9660 with Rock Ridge and El Torito (ECMA-119; SUSP and RRIP 1.12; "El Torito" Bootable CD-ROM 1.0)."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers import HEADER, LARGEST_DIRECTORY, MOST_ENTRIES, Listing, Node, Reader, Unreadable, disk
from pipeline.readers.view import View, window

SECTOR = 2048
KINDS = {stat.S_IFLNK: "symlink", stat.S_IFDIR: "directory", stat.S_IFREG: "file"}
FIRST_DESCRIPTOR, MOST_DESCRIPTORS = 16, 64
DEEPEST = 64
TEXTS = {
    "system": (8, 32), "volume": (40, 32), "volume set": (190, 128), "publisher": (318, 128), "preparer": (446, 128),
    "application": (574, 128), "created": (813, 17), "modified": (830, 17), "expires": (847, 17),
    "effective": (864, 17),
}  # fmt: skip
BOOTABLE, NOT_BOOTABLE = 0x88, 0x00
SECTION, LAST_SECTION = 0x90, 0x91


class _Volume(NamedTuple):
    """skip: bytes to skip in every system use area, -1 where there is no Rock Ridge. walked: directories, by sector."""

    view: View
    skip: int
    walked: set[int]


def recognises(view: View) -> bool:
    return view.read(FIRST_DESCRIPTOR * SECTOR + 1, 5) == b"CD001"


def read(view: View) -> Listing:
    """Every entry by its Rock Ridge name (else its ISO one), boot images, and a boot record if there is one."""
    primary = b""
    listing: dict[str, Node] = {}
    for sector in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + MOST_DESCRIPTORS):
        descriptor = view.read(sector * SECTOR, SECTOR)
        if descriptor[:1] == b"\xff" or descriptor[1:6] != b"CD001":
            break
        if descriptor[:1] == b"\1":
            primary = primary or descriptor
        elif descriptor[:1] == b"\0" and descriptor[7:30] == b"EL TORITO SPECIFICATION":
            listing.update(_boot_images(view, int.from_bytes(descriptor[71:75], "little")))
    if not primary:
        raise Unreadable("an ISO 9660 volume without a primary descriptor")
    volume = _Volume(view, _skip(view, primary[156:190]), set())
    listing.update(_directory(volume, primary[156:190], "", 0))
    if disk.recognises(view):
        listing["(partition table)"] = Node("table", {}, window(view, 0, FIRST_DESCRIPTOR * SECTOR))
    facts: dict[str, str | int] = {
        name: primary[at : at + size].decode("latin-1").rstrip(" \0") for name, (at, size) in TEXTS.items()
    }
    listing[HEADER] = Node("volume", facts, None, {"sectors": int.from_bytes(primary[80:84], "little")})
    return listing


def _skip(view: View, root: bytes) -> int:
    """The root's own record says how many bytes are to be skipped (SP)."""
    own = view.read(int.from_bytes(root[2:6], "little") * SECTOR, 255)
    area = own[34 : own[0]]
    return area[6] if area[:2] == b"SP" and area[4:6] == b"\xbe\xef" else -1


def _directory(volume: _Volume, record: bytes, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    start, size = int.from_bytes(record[2:6], "little") * SECTOR, int.from_bytes(record[10:14], "little")
    if depth > DEEPEST or size > LARGEST_DIRECTORY or start in volume.walked:
        raise Unreadable("directories without end")
    volume.walked.add(start)
    data = volume.view.read(start, size)
    at, count = 0, 0
    while at < len(data):
        entry = data[at : at + data[at]]
        if not entry:  # records do not cross sectors
            at += SECTOR - at % SECTOR
            continue
        at += len(entry)
        count += 1
        if entry[33 : 33 + entry[32]] not in (b"\0", b"\1"):
            yield from _entry(volume, entry, path, depth)
        if count > MOST_ENTRIES:
            raise Unreadable(f"more than {MOST_ENTRIES} entries")


def _entry(volume: _Volume, entry: bytes, above: str, depth: int) -> Iterator[tuple[str, Node]]:
    fields = list(_system_use(volume, entry)) if volume.skip >= 0 else []
    raw = entry[33 : 33 + entry[32]]
    plain = raw.decode("latin-1").partition(";")[0].removesuffix(".")
    name = os.fsdecode(b"".join(data[1:] for tag, data in fields if tag == b"NM")) or plain
    path = f"{above}/{name}" if above else name
    start, size = int.from_bytes(entry[2:6], "little"), int.from_bytes(entry[10:14], "little")
    facts: dict[str, str | int] = {"recorded": _moment(entry[18:25]), "ISO name": raw.decode("latin-1")}
    kind = "directory" if entry[25] & 2 else "file"
    for tag, data in fields:
        if tag == b"PX":
            mode, links, uid, gid = (_both(data, at) for at in (0, 8, 16, 24))
            kind = KINDS.get(stat.S_IFMT(mode), "device")
            facts |= {"mode": f"{stat.S_IMODE(mode):04o}", "uid": uid, "gid": gid, "links": links}
        elif tag == b"TF":
            facts["times"] = " ".join(_moment(data[place : place + 7]) for place in range(1, len(data) - 6, 7))
        elif tag == b"PN":
            facts["device"] = f"{_both(data, 0)}:{_both(data, 8)}"
    if kind == "symlink":
        facts["target"] = _target(b"".join(data[1:] for tag, data in fields if tag == b"SL"))
    content = window(volume.view, start * SECTOR, size) if kind == "file" else None
    yield path, Node(kind, facts, content, {"sector": start})
    if kind == "directory":
        yield from _directory(volume, entry, path, depth + 1)


def _system_use(volume: _Volume, entry: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Tag and data of every SUSP field, those in continuation areas too."""
    area = entry[33 + entry[32] + (entry[32] + 1) % 2 + volume.skip :]
    for _ in range(64):
        after = b""
        at = 0
        while at + 4 <= len(area) and area[at + 2] >= 4:
            tag, data = area[at : at + 2], area[at + 4 : at + area[at + 2]]
            if tag == b"CE":
                block, offset, size = (_both(data, place) for place in (0, 8, 16))
                after = volume.view.read(block * SECTOR + offset, size)
            elif tag == b"ST":
                break
            else:
                yield tag, data
            at += area[at + 2]
        if not after:
            return
        area = after


def _target(components: bytes) -> str:
    """A symbolic link's target out of its components (RRIP 4.1.3)."""
    parts: list[str] = []
    at, joined = 0, False
    while at + 2 <= len(components):
        flags, length = components[at], components[at + 1]
        text = {2: ".", 4: "..", 8: ""}.get(flags & 14, os.fsdecode(components[at + 2 : at + 2 + length]))
        if joined:
            parts[-1] += text
        else:
            parts.append(text)
        joined = bool(flags & 1)
        at += 2 + length
    return "/".join(parts) or "/"


def _both(data: bytes, at: int) -> int:
    """A number that is stored in both byte orders, the little-endian one first."""
    return int.from_bytes(data[at : at + 4], "little")


def _moment(data: bytes) -> str:
    year, month, day, hour, minute, second, zone = struct.unpack("6Bb", data)
    return f"{1900 + year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone * 15:+}min"


def _boot_images(view: View, catalog: int) -> Iterator[tuple[str, Node]]:
    """The images of the boot catalog. They are as long as the catalog says, which may be less than they are."""
    entries = view.read(catalog * SECTOR, SECTOR)
    platform, number = entries[1], 0
    identity = entries[4:28].decode("latin-1").rstrip("\0 ")
    yield "(boot catalog)", Node("catalog", {"id": identity}, None, {"sector": catalog})
    for at in range(32, SECTOR, 32):
        entry = entries[at : at + 32]
        if entry[0] in (SECTION, LAST_SECTION):
            platform = entry[1]
        elif entry[0] == BOOTABLE:
            number += 1
            sectors, start = struct.unpack_from("<HI", entry, 6)
            facts: dict[str, str | int] = {"platform": f"{platform:#x}", "media": entry[1], "sectors": sectors}
            content = window(view, start * SECTOR, sectors * 512)
            yield f"(boot image {number})", Node("boot image", facts, content, {"sector": start})
        elif entry[0] == NOT_BOOTABLE and not any(entry):
            return


READER = Reader("ISO 9660", recognises, read)
