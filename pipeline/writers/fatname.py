"""Names in a FAT directory: the short form (8.3), preceded by the long form.

Source: Microsoft FAT Specification (2005-08-30), sections 6.1 and 7. The long form exists where the short form would
not restore the exact name.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.ondisk import fat as ondisk
from pipeline.ondisk.mbr import SECTOR
from pipeline.writers import FormatError

FORBIDDEN = frozenset('"*/:<>?\\|') | {chr(number) for number in range(32)} | {"\x7f"}
SHORT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
LONGEST = 255
"""Maximum length of a long name, in UTF-16 units (section 7.4)."""
LONGEST_LABEL = 11
"""Maximum length of a label, in characters of ASCII (section 3, BS_VolLab)."""
MOST_RECORDS = 65536
"""Maximum number of records of a directory, its own two included; a name takes one or several (section 6: 2 MiB)."""
UNITS = 13
"""UTF-16 units that one record of a long name holds."""


def label(text: str) -> bytes:
    """A volume label: 11 bytes, upper case, padded with spaces. FormatError for one that has no room."""
    if len(text) > LONGEST_LABEL or not text.isascii():
        raise FormatError(f"label {text!r}; FAT has room for {LONGEST_LABEL} characters of ASCII: shorten it")
    return text.upper().encode("ascii").ljust(LONGEST_LABEL) if text else b"NO NAME    "


def room(names: Sequence[str], path: str) -> int:
    """Returns the bytes of the directory `path` with `names`, its own two records included. FormatError for invalid
    names."""
    seen: dict[str, str] = {}
    total = 2
    short = short_names(names)
    for name in names:
        _check(name, path)
        twin = seen.setdefault(name.upper(), name)
        if twin != name:
            where = f"{path}/" if path else ""
            raise FormatError(f"{where}{twin} and {where}{name}: FAT ignores case: rename one of them")
        total += 1 + len(long_records(name, short[name])) // ondisk.DIR.size
    if total > MOST_RECORDS:
        room = f"names in {total} records; a FAT directory has room for {MOST_RECORDS}"
        raise FormatError(f"{path or 'the root'}: {room}: spread them over several directories, or shorten them")
    return -(-total * ondisk.DIR.size // SECTOR) * SECTOR


def short_names(names: Sequence[str]) -> dict[str, bytes]:
    """Returns the 8.3 form of each name, all different; a name that is short but for its case becomes upper case."""
    short = {name: plain for name in names if (plain := _exact(name)) is not None}
    taken = set(short.values())
    free: dict[tuple[str, int, str], int] = {}
    for name in names:
        if name not in short:
            plain = _exact(name.upper())
            short[name] = plain if plain and plain not in taken else _with_number(name, taken, free)
            taken.add(short[name])
    return short


def long_records(name: str, short: bytes) -> bytes:
    """Returns the records of the long form, the last part first; b"" where the short form is exact."""
    if _exact(name) is not None:
        return b""
    units = name.encode("utf-16-le", "surrogatepass")
    parts = -(-len(units) // (2 * UNITS))
    units = (units + b"\0\0").ljust(parts * 2 * UNITS, b"\xff")[: parts * 2 * UNITS]
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    result = b""
    for number in range(parts, 0, -1):
        part = units[(number - 1) * 2 * UNITS : number * 2 * UNITS]
        order = number | (ondisk.LAST_LONG_ENTRY if number == parts else 0)
        result += _record(order, part[:10], ondisk.LONG_NAME, 0, checksum, part[10:22], 0, part[22:])
    return result


_record = ondisk.LDIR.struct.pack


def _check(name: str, path: str) -> None:
    where = f"{path}/{name}".removeprefix("/")
    if FORBIDDEN.intersection(name) or name[-1] in ". ":
        raise FormatError(f"{where!r}: a name that FAT cannot hold")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise FormatError(f"{where!r}: a name that is not UTF-8; FAT holds names in Unicode")
    if (size := len(name.encode("utf-16-le")) // 2) > LONGEST:
        raise FormatError(f"{where!r}: a name of {size} UTF-16 units; FAT has room for {LONGEST}: shorten it")


def _exact(name: str) -> bytes | None:
    """The short form of a name that needs no long one."""
    stem, dot, extension = name.partition(".")
    fits = 0 < len(stem) <= 8 and len(extension) <= 3 and bool(dot) == bool(extension)
    if not fits or not SHORT.issuperset(stem + extension):
        return None
    return stem.encode().ljust(8) + extension.encode().ljust(3)


def _with_number(name: str, taken: set[bytes], free: dict[tuple[str, int, str], int]) -> bytes:
    """Returns the first free short form with a numeric tail (BASE~1.EXT).

    free: (start, digits of the tail, extension) -> the first number that was not tried. It is updated here: without it
    a large directory would take hours.
    """
    stem, _, extension = name.upper().lstrip(".").rpartition(".") if "." in name.lstrip(".") else (name.upper(), "", "")
    base = "".join(character if character in SHORT else "_" for character in stem if character not in " .") or "_"
    tail = "".join(character if character in SHORT else "_" for character in extension if character != " ")[:3]
    for digits in range(1, 7):
        start = base[: 7 - digits]
        for number in range(free.get((start, digits, tail), 10 ** (digits - 1)), 10**digits):
            free[start, digits, tail] = number + 1
            short = f"{start}~{number}".encode().ljust(8) + tail.encode().ljust(3)
            if short not in taken:
                return short
    raise FormatError(f"{name}: a FAT directory has no more room for names that start alike: rename it")
