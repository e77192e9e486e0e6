"""tar archives: POSIX pax and ustar, GNU's and old ones (POSIX.1-2017, pax; tar(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.readers import MOST_ENTRIES, Listing, Node, Reader, StructureError
from pipeline.readers.view import View, ViewFile, subview

if TYPE_CHECKING:
    import tarfile


TYPES = {b"0": "file", b"\0": "file", b"7": "file", b"5": "directory", b"2": "symlink", b"1": "link"}
UNTOLD = ("path", "linkpath", "size", "uid", "gid", "mtime")
"""Keywords of extended headers that show in an entry's other properties."""


def recognises(view: View) -> bool:
    return view.read(257, 5) == b"ustar"


def read(view: View) -> Listing:
    """The archive's entries; a hard link is a node of its own kind, with its target."""
    import io
    import tarfile

    listing: dict[str, Node] = {}
    try:
        file = io.BufferedReader(ViewFile(view), 1 << 16)
        with tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as archive:
            for number, member in enumerate(archive):
                listing[member.name.removeprefix("./").strip("/") or "."] = _node(view, member, number)
                if number > MOST_ENTRIES:
                    raise StructureError(f"more than {MOST_ENTRIES} entries")
    except tarfile.TarError as error:
        raise StructureError(str(error)) from None
    return listing


def _node(view: View, member: tarfile.TarInfo, number: int) -> Node:
    kind = TYPES.get(member.type, "device")
    properties: dict[str, str | int] = {
        "mode": f"{member.mode:04o}", "uid": member.uid, "gid": member.gid, "mtime": str(member.mtime),
        "user": member.uname, "group": member.gname,
    }  # fmt: skip
    properties |= {name: value for name, value in sorted(member.pax_headers.items()) if name not in UNTOLD}
    if kind in ("symlink", "link"):
        properties["target"] = member.linkname
    if kind == "device":
        properties |= {"type": member.type.decode("latin-1"), "device": f"{member.devmajor}:{member.devminor}"}
    content = subview(view, member.offset_data, member.size) if kind == "file" else None
    return Node(kind, properties, content, {"number": number, "offset": member.offset})


READER = Reader("tar", recognises, read, order=20)
