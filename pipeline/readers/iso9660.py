"""ISO 9660 with Rock Ridge and El Torito (ECMA-119; SUSP and RRIP 1.12; "El Torito" Bootable CD-ROM 1.0)."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from pipeline.ondisk import iso9660 as ondisk
from pipeline.ondisk.iso9660 import BLOCK, FIRST_DESCRIPTOR, number
from pipeline.ondisk.mbr import SECTOR
from pipeline.readers import HEADER, LARGEST_DIRECTORY, MOST_ENTRIES, Listing, Node, Reader, StructureError, disk
from pipeline.readers.view import View, subview

KINDS = {stat.S_IFLNK: "symlink", stat.S_IFDIR: "directory", stat.S_IFREG: "file"}
MOST_DESCRIPTORS = 64
DEEPEST = 64
TEXTS = {
    "system": "system", "volume": "volume", "volume set": "volume_set", "publisher": "publisher",
    "preparer": "preparer", "application": "application", "created": "created", "modified": "modified",
    "expires": "expires", "effective": "effective",
}  # fmt: skip


class _Iso9660(NamedTuple):
    """skip: bytes to skip in every system use area, -1 without Rock Ridge. walked: directories, by sector."""

    view: View
    skip: int
    walked: set[int]


def recognises(view: View) -> bool:
    return view.read(FIRST_DESCRIPTOR * BLOCK + 1, len(ondisk.STANDARD)) == ondisk.STANDARD


def read(view: View) -> Listing:
    """Every entry by its Rock Ridge name (else its ISO one), boot images, and a boot record if there is one."""
    primary = None
    listing: dict[str, Node] = {}
    for block in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + MOST_DESCRIPTORS):
        data = view.read(block * BLOCK, BLOCK).ljust(BLOCK, b"\0")
        boot, volume = ondisk.BOOT_DESCRIPTOR.unpack(data), ondisk.VOLUME.unpack(data)
        if volume.type == ondisk.TERMINATOR or volume.standard != ondisk.STANDARD:
            break
        if volume.type == ondisk.PRIMARY:
            primary = primary or volume
        elif boot.type == ondisk.BOOT_RECORD and boot.system.startswith(ondisk.EL_TORITO):
            listing.update(_boot_images(view, boot.catalog))
    if not primary:
        raise StructureError("an ISO 9660 volume without a primary descriptor")
    root = ondisk.RECORD.unpack(primary.root)
    listing.update(_directory(_Iso9660(view, _skip(view, root), set()), root, "", 0))
    if disk.recognises(view):
        listing["(partition table)"] = Node("table", {}, subview(view, 0, FIRST_DESCRIPTOR * BLOCK))
    properties: dict[str, str | int] = {
        text: getattr(primary, name).decode("latin-1").rstrip(" \0") for text, name in TEXTS.items()
    }
    listing[HEADER] = Node("volume", properties, None, {"sectors": number(primary.space_size)})
    return listing


def _skip(view: View, root: Any) -> int:
    """Returns the bytes to skip in every system use area, from the root's own record (SP); -1 without Rock Ridge."""
    own = view.read(number(root.location) * BLOCK, 255)
    area = own[ondisk.RECORD.size + 1 : own[0]]
    return area[6] if area[:2] == b"SP" and area[4:6] == ondisk.SHARING else -1


def _directory(volume: _Iso9660, record: Any, path: str, depth: int) -> Iterator[tuple[str, Node]]:
    start, size = number(record.location) * BLOCK, number(record.data_length)
    if depth > DEEPEST or size > LARGEST_DIRECTORY or start in volume.walked:
        raise StructureError("directories without end")
    volume.walked.add(start)
    data = volume.view.read(start, size)
    at, count = 0, 0
    while at < len(data):
        entry = data[at : at + data[at]]
        if not entry:  # records do not cross sectors
            at += BLOCK - at % BLOCK
            continue
        at += len(entry)
        count += 1
        record = ondisk.RECORD.unpack(entry)
        raw = entry[ondisk.RECORD.size :][: record.name_length]
        if raw not in (b"\0", b"\1"):
            unix = list(_system_use(volume, entry, len(raw))) if volume.skip >= 0 else []
            yield from _entry(volume, record, raw, unix, path, depth)
        if count > MOST_ENTRIES:
            raise StructureError(f"more than {MOST_ENTRIES} entries")


def _entry(
    volume: _Iso9660, record: Any, raw: bytes, fields: list[tuple[bytes, bytes]], above: str, depth: int
) -> Iterator[tuple[str, Node]]:
    plain = raw.decode("latin-1").partition(";")[0].removesuffix(".")
    name = os.fsdecode(b"".join(data[1:] for tag, data in fields if tag == b"NM")) or plain
    path = f"{above}/{name}" if above else name
    start, size = number(record.location), number(record.data_length)
    properties: dict[str, str | int] = {"recorded": _moment(record.recorded), "ISO name": raw.decode("latin-1")}
    kind = "directory" if record.flags & ondisk.IS_DIRECTORY else "file"
    for tag, data in fields:
        if tag == b"PX":
            mode, links, uid, gid = map(number, ondisk.POSIX.unpack(data))
            kind = KINDS.get(stat.S_IFMT(mode), "device")
            properties |= {"mode": f"{stat.S_IMODE(mode):04o}", "uid": uid, "gid": gid, "links": links}
        elif tag == b"TF":
            properties["times"] = " ".join(_moment(data[place : place + 7]) for place in range(1, len(data) - 6, 7))
        elif tag == b"PN":
            properties["device"] = ":".join(str(number(part)) for part in ondisk.DEVICE.unpack(data))
    if kind == "symlink":
        properties["target"] = _target(b"".join(data[1:] for tag, data in fields if tag == b"SL"))
    content = subview(volume.view, start * BLOCK, size) if kind == "file" else None
    yield path, Node(kind, properties, content, {"sector": start})
    if kind == "directory":
        yield from _directory(volume, record, path, depth + 1)


def _system_use(volume: _Iso9660, entry: bytes, name_length: int) -> Iterator[tuple[bytes, bytes]]:
    """Tag and data of every SUSP field, those in continuation areas too."""
    area = entry[ondisk.RECORD.size + name_length + (name_length + 1) % 2 + volume.skip :]
    for _ in range(64):
        after = b""
        at = 0
        while at + 4 <= len(area) and area[at + 2] >= 4:
            tag, data = area[at : at + 2], area[at + 4 : at + area[at + 2]]
            if tag == b"CE":
                block, offset, size = map(number, ondisk.CONTINUATION.unpack(data))
                after = volume.view.read(block * BLOCK + offset, size)
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


def _moment(data: bytes) -> str:
    year, month, day, hour, minute, second, zone = struct.unpack("6Bb", data)
    return f"{1900 + year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone * 15:+}min"


def _boot_images(view: View, catalog: int) -> Iterator[tuple[str, Node]]:
    """Yields the images of the boot catalog, with the lengths in the catalog, which may be too short."""
    data = view.read(catalog * BLOCK, BLOCK)
    validation, count = ondisk.VALIDATION.unpack(data), 0
    platform, identity = validation.platform, validation.id.decode("latin-1").rstrip("\0 ")
    yield "(boot catalog)", Node("catalog", {"id": identity}, None, {"sector": catalog})
    for at in range(ondisk.VALIDATION.size, BLOCK, ondisk.BOOT_ENTRY.size):
        entry = ondisk.BOOT_ENTRY.unpack(data, at)
        if entry.indicator in (ondisk.SECTION, ondisk.LAST_SECTION):
            platform = ondisk.BOOT_SECTION.unpack(data, at).platform
        elif entry.indicator == ondisk.BOOTABLE:
            count += 1
            properties: dict[str, str | int] = {
                "platform": f"{platform:#x}", "media": entry.media, "sectors": entry.sectors,
            }  # fmt: skip
            content = subview(view, entry.start * BLOCK, entry.sectors * SECTOR)
            yield f"(boot image {count})", Node("boot image", properties, content, {"sector": entry.start})
        elif not any(data[at : at + ondisk.BOOT_ENTRY.size]):
            return


READER = Reader("ISO 9660", recognises, read)
