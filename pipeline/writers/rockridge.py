"""Rock Ridge: Unix metadata of a file in the system use fields of an ISO 9660 directory.

Source: IEEE P1281 (SUSP 1.12) for the fields' form and IEEE P1282 (RRIP 1.12) for PX, TF, NM, SL and PN. Extended
attributes have no field and are left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

from pipeline.model.tree import Device, Directory, Entry, File, Symlink
from pipeline.ondisk import iso9660 as ondisk
from pipeline.ondisk.iso9660 import BLOCK, both
from pipeline.writers import raw
from pipeline.writers.carried import Carried

LONGEST = 250
"""Bytes of a name or of a link's part that one field holds."""
CONTINUED = ondisk.SYSTEM_USE.size + ondisk.CONTINUATION.size
"""Bytes of the field that locates further fields (CE)."""
TIMES = 0x0E
"""Modification, access and attribute change."""
LATEST = 5869583999
"""2155-12-31 23:59:59: the year is one byte, counted from 1900."""
CARRIED = Carried("ISO 9660", (), 0, LATEST)
TYPES = {Directory: 0o040000, File: 0o100000, Symlink: 0o120000}
KINDS = {"c": 0o020000, "b": 0o060000, "p": 0o010000}
NAMES = [b"NM" + bytes((5 + size, 1, 0)) for size in range(LONGEST + 1)]
MORE = b"NM" + bytes((5 + LONGEST, 1, 1))
"""Heads of a name's field, by the length of the name; and the head of one that is continued."""
FEW = 1024
"""Owners and times that are cached: a tree has few different ones, and many entries."""
IDENTITY = b"RRIP_1991A"
DESCRIPTION = b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
SOURCE = (
    b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME "
    b"DESCRIPTOR FOR CONTACT INFORMATION."
)


class Overflow:
    """The area for fields that do not fit into directory records; no part of it crosses a block."""

    def __init__(self) -> None:
        self.data = bytearray()

    def fit(self, fields: Sequence[bytes], room: int, block: int) -> bytes:
        """Returns `fields` in `room` bytes; the rest goes into the area, which starts at `block`, located by a CE
        field."""
        if sum(map(len, fields)) <= room:
            return b"".join(fields)
        fitting: list[bytes] = []
        while fields and sum(map(len, fitting)) + len(fields[0]) + CONTINUED <= room:
            fitting, fields = [*fitting, fields[0]], fields[1:]
        if BLOCK - len(self.data) % BLOCK < CONTINUED + LONGEST + 5:
            self.data += bytes(-len(self.data) % BLOCK)
        start = len(self.data)
        self.data += bytes(min(sum(map(len, fields)), BLOCK - start % BLOCK))
        rest = self.fit(fields, len(self.data) - start, block)
        self.data[start : start + len(rest)] = rest
        field = _field(b"CE", both(block + start // BLOCK), both(start % BLOCK), both(len(rest)))
        return b"".join([*fitting, field])


def first_fields(fields: Sequence[bytes]) -> list[bytes]:
    """Returns `fields` of the root's own record with SP and ER, which announce Rock Ridge."""
    sizes = bytes((len(IDENTITY), len(DESCRIPTION), len(SOURCE), 1))
    return [_field(b"SP", ondisk.SHARING, b"\0"), *fields, _field(b"ER", sizes, IDENTITY, DESCRIPTION, SOURCE)]


def fields(entry: Entry, links: int, name: str = "") -> list[bytes]:
    """Returns the fields of an entry. name: its last part, "" in records of a directory itself."""
    kind = KINDS[entry.kind] if type(entry) is Device else TYPES[type(entry)]
    common, text = _common(kind, links, *entry[:4]), raw(name)
    if len(text) <= LONGEST and type(entry) in (File, Directory):  # as nearly all are
        return [common, NAMES[len(text)] + text] if text else [common]
    found = [common]
    for start in range(0, len(text), LONGEST):
        part = text[start : start + LONGEST]
        found.append(NAMES[len(part)] + part if start + LONGEST >= len(text) else MORE + part)
    if type(entry) is Symlink:
        found += _link(raw(entry.target))
    if type(entry) is Device and entry.kind != "p":
        found.append(_field(b"PN", *map(both, _device(entry.major, entry.minor))))
    return found


def date(mtime: int) -> bytes:
    """Returns a time in a directory record (ECMA-119, 9.1.5), UTC; one outside 1970 to 2155 is moved to the nearest
    end."""
    t = time.gmtime(min(max(mtime, 0), LATEST))
    return bytes((t.tm_year - 1900, t.tm_mon, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, 0))


@lru_cache(FEW)
def _common(kind: int, links: int, mode: int, uid: int, gid: int, mtime: int) -> bytes:
    """The two fields that every entry has (PX, TF), for which any record has room."""
    times = bytes((TIMES,)) + date(mtime) * 3
    return _field(b"PX", *map(both, (kind | mode & 0o7777, links, uid, gid))) + _field(b"TF", times)


def _device(major: int, minor: int) -> tuple[int, int]:
    """Returns the two numbers of PN: what fits 16 bits goes into the second, as readers expect."""
    return (0, major << 8 | minor) if major < 256 and minor < 256 else (major, minor)


def _link(target: bytes) -> list[bytes]:
    """SL fields: the parts between the slashes, as many to a field as it holds."""
    parts = [b"\x08\0"] if target.startswith(b"/") else []
    for part in filter(None, target.split(b"/")):
        if part in (b".", b".."):
            parts.append(bytes((2 * len(part), 0)))
            continue
        cuts = [part[start : start + LONGEST - 2] for start in range(0, len(part), LONGEST - 2)]
        parts += [bytes((number + 1 < len(cuts), len(cut))) + cut for number, cut in enumerate(cuts)]
    rows: list[bytes] = []
    for piece in parts:
        if rows and len(rows[-1]) + len(piece) <= LONGEST:
            rows[-1] += piece
        else:
            rows.append(piece)
    return [_field(b"SL", bytes((number + 1 < len(rows),)), row) for number, row in enumerate(rows)]


def _field(signature: bytes, *parts: bytes) -> bytes:
    """A system use field."""
    data = b"".join(parts)
    return ondisk.SYSTEM_USE.struct.pack(signature, ondisk.SYSTEM_USE.size + len(data), 1) + data
