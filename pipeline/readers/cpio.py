"""cpio archives in the "new ASCII" forms 070701 and 070702 (buffer-format.rst of the kernel, cpio(5))."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.readers import MOST_ENTRIES, Listing, Node, Reader, Unreadable
from pipeline.readers.view import View, window

MAGICS = (b"070701", b"070702")
HEADER_SIZE = 110
LONGEST_NAME = 4096
"""PATH_MAX of the kernel, with the final NUL."""
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
TRAILER = "TRAILER!!!"


class _Member(NamedTuple):
    name: str
    inode: int
    mode: int
    uid: int
    gid: int
    links: int
    mtime: int
    device: str
    start: int
    size: int


def recognises(view: View) -> bool:
    """One whole archive. What has more behind it is a row of archives (pipeline.readers.archives)."""
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
        if member.links > 1 and member.size:
            data[member.inode] = window(view, member.start, member.size)
    for number, member in enumerate(members):
        listing[_path(member.name)] = _node(view, member, data, number)
    return listing


def _path(name: str) -> str:
    return name.removeprefix("./").strip("/") if name != "." else "."


def _node(view: View, member: _Member, data: dict[int, View], number: int) -> Node:
    kind = KINDS.get(stat.S_IFMT(member.mode), "device")
    facts: dict[str, str | int] = {
        "mode": f"{stat.S_IMODE(member.mode):04o}", "uid": member.uid, "gid": member.gid, "mtime": member.mtime,
    }  # fmt: skip
    place = {"number": number, "inode": member.inode, "offset": member.start}
    content = window(view, member.start, member.size)
    if kind == "file":
        if member.links > 1:
            facts["links"] = member.links
            content = data.get(member.inode, content)
        return Node(kind, facts, content, place)
    if kind == "symlink":
        facts["target"] = os.fsdecode(content.read(0, member.size))
    if kind == "device":
        facts |= {"type": f"{stat.S_IFMT(member.mode):o}", "device": member.device}
    return Node(kind, facts, None, place)


def end(view: View, start: int) -> int:
    """The offset behind the archive that starts at `start`. Unreadable if it has no trailer."""
    for member in _members(view, start):
        if member.name == TRAILER:
            return member.start + member.size
    raise Unreadable(f"the cpio archive at byte {start} has no trailer")


def _members(view: View, start: int) -> Iterator[_Member]:
    """Every member up to the trailer; padding counts from `start`, which the kernel wants at a multiple of 4."""
    offset = start
    for _ in range(MOST_ENTRIES):
        header = view.read(offset, HEADER_SIZE)
        if not header.startswith(MAGICS) or len(header) < HEADER_SIZE:
            raise Unreadable(f"no cpio header at byte {offset}")
        (inode, mode, uid, gid, links, mtime, size, _, _, major, minor, name_size, _) = (
            int(header[at : at + 8], 16) for at in range(6, HEADER_SIZE, 8)
        )
        if not 0 < name_size <= LONGEST_NAME:
            raise Unreadable(f"a name of {name_size} bytes at byte {offset}")
        name = os.fsdecode(view.read(offset + HEADER_SIZE, name_size)[:-1])
        data = offset + HEADER_SIZE + name_size
        data += -(data - start) % 4
        yield _Member(name, inode, mode, uid, gid, links, mtime, f"{major}:{minor}", data, size)
        if name == TRAILER:
            return
        offset = data + size
        offset += -(offset - start) % 4
    raise Unreadable(f"more than {MOST_ENTRIES} entries")


READER = Reader("cpio", recognises, read, order=9)
