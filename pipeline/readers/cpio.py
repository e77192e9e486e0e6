"""cpio archives in the "new ASCII" forms 070701 and 070702 (buffer-format.rst of the kernel, cpio(5))."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.ondisk import cpio as ondisk
from pipeline.readers import MOST_ENTRIES, Listing, Node, Reader, StructureError
from pipeline.readers.view import View, subview

MAGICS = (ondisk.MAGIC, ondisk.MAGIC_CRC)
LONGEST_NAME = 4096
"""PATH_MAX of the kernel, with the final NUL."""
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
TRAILER = ondisk.TRAILER.decode()


class _Member(NamedTuple):
    name: str
    header: ondisk.Header
    start: int
    """Offset of its content."""

    @property
    def end(self) -> int:
        return self.start + int(self.header.filesize)


def recognises(view: View) -> bool:
    """Recognises a single archive. pipeline.readers.archives reads concatenated ones."""
    if not view.read(0, 6).startswith(MAGICS):
        return False
    behind = end(view, 0)
    return not view.read(behind, view.size - behind).strip(b"\0") if view.size - behind < 1 << 20 else False


def read(view: View) -> Listing:
    """The archive's entries. Where a name comes twice, the later one counts, as it does for the kernel."""
    listing: dict[str, Node] = {}
    data: dict[int, View] = {}
    members = [member for member in _members(view, 0) if member.name != TRAILER]
    for member in members:
        if member.header.nlink > 1 and member.header.filesize:
            data[member.header.ino] = subview(view, member.start, member.header.filesize)
    for number, member in enumerate(members):
        listing[_path(member.name)] = _node(view, member, data, number)
    return listing


def _path(name: str) -> str:
    return name.removeprefix("./").strip("/") if name != "." else "."


def _node(view: View, member: _Member, data: dict[int, View], number: int) -> Node:
    header = member.header
    kind = KINDS.get(stat.S_IFMT(header.mode), "device")
    properties: dict[str, str | int] = {
        "mode": f"{stat.S_IMODE(header.mode):04o}", "uid": header.uid, "gid": header.gid, "mtime": header.mtime,
    }  # fmt: skip
    place = {"number": number, "inode": header.ino, "offset": member.start}
    content = subview(view, member.start, header.filesize)
    if kind == "file":
        if header.nlink > 1:
            properties["links"] = header.nlink
            content = data.get(header.ino, content)
        return Node(kind, properties, content, place)
    if kind == "symlink":
        properties["target"] = os.fsdecode(content.read(0, header.filesize))
    if kind == "device":
        device = f"{header.rdevmajor}:{header.rdevminor}"
        properties |= {"type": f"{stat.S_IFMT(header.mode):o}", "device": device}
    return Node(kind, properties, None, place)


def end(view: View, start: int) -> int:
    """Returns the end of the archive that starts at `start`. StructureError if it has no trailer."""
    for member in _members(view, start):
        if member.name == TRAILER:
            return member.end
    raise StructureError(f"the cpio archive at byte {start} has no trailer")


def _members(view: View, start: int) -> Iterator[_Member]:
    """Yields every member up to the trailer. Padding counts from `start`, which the kernel requires to be a multiple of
    4."""
    offset = start
    for _ in range(MOST_ENTRIES):
        header = view.read(offset, ondisk.SIZE)
        if not header.startswith(MAGICS) or len(header) < ondisk.SIZE:
            raise StructureError(f"no cpio header at byte {offset}")
        digits = range(len(ondisk.MAGIC), ondisk.SIZE, ondisk.DIGITS)
        fields = ondisk.Header(*[int(header[at : at + ondisk.DIGITS], 16) for at in digits])
        if not 0 < fields.namesize <= LONGEST_NAME:
            raise StructureError(f"a name of {fields.namesize} bytes at byte {offset}")
        name = os.fsdecode(view.read(offset + ondisk.SIZE, fields.namesize)[:-1])
        data = offset + ondisk.SIZE + fields.namesize
        data += -(data - start) % 4
        member = _Member(name, fields, data)
        yield member
        if name == TRAILER:
            return
        offset = member.end
        offset += -(offset - start) % 4
    raise StructureError(f"more than {MOST_ENTRIES} entries")


READER = Reader("cpio", recognises, read, order=9)
