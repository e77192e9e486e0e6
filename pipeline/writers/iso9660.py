"""ISO 9660 file systems with Rock Ridge, Joliet and El Torito.

Source: ECMA-119 (4th edition; section numbers are its), the Joliet specification (1995), El Torito 1.0 (1995) with
UEFI 2.10, 13.3.2.1, for its EFI entry. Directories may be deeper than 8, as Linux and all the others read them. The
order on disk is: system area, descriptors, boot catalog, spanning directories, sections (isosection), path tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import pack, unpack
from typing import NamedTuple

from pipeline.model.tree import EPOCH, Content, Directory, Entry, File, Memoize, Sink, length
from pipeline.ondisk import iso9660 as ondisk
from pipeline.ondisk.iso9660 import BLOCK, both, both_16
from pipeline.writers import FormatError, TooLarge, canonical_hard_links, isodir, isosection, limits
from pipeline.writers.isodir import PADDING
from pipeline.writers.isosection import DirectoryIndex, SectionedDisc

VERSION = 4
SYSTEM = ondisk.FIRST_DESCRIPTOR * BLOCK
"""Bytes before the descriptors, free for a boot record."""
BIOS, EFI = 0x00, 0xEF
LARGEST_FILE = isodir.LARGEST_FILE
MOST_FOLDERS = (1 << 16) - 1
"""Maximum number, counted level by level, of a directory that has others in it (9.4.4, Parent Directory Number: 16
bits)."""
LONGEST_NAME = 253
"""Maximum length of a name, in bytes: Linux cuts longer ones (fs/isofs/rock.c, get_rock_ridge_filename)."""
ROOM = f"ISO 9660 has room for that in the first {MOST_FOLDERS} alone: make fewer, or take kernel+squashfs"
LONGEST_LABEL = 32
"""Maximum length of a label, in characters (8.4.7, Volume Identifier). Joliet has the first 16."""
MADE, NEVER = b"1980010100000000\0", b"0" * 16 + b"\0"
"""Times in a descriptor (8.4.26.1): the volume's, and none."""


class Boot(NamedTuple):
    """An image that a firmware starts from (El Torito, without emulation)."""

    path: str
    platform: int
    sectors: int
    """Number of 512-byte sectors that a BIOS loads; UEFI reads 1 as "up to the end"."""


class IsoLayout(NamedTuple):
    """A file system before it is written: where everything lies, in blocks."""

    whole: SectionedDisc
    boots: Sequence[Boot]
    catalog: int
    modified: int
    """Time stamp of the root."""
    tables: Content
    """The path tables of the primary and of Joliet's directories, in both byte orders, each in whole blocks. They
    follow all else."""
    sizes: Sequence[int]
    """Bytes of those of each."""
    end: int

    def block(self, path: str) -> int:
        """Returns the first block of the file at `path`, which is booted from."""
        return self.whole.files[path][0]


def plan(tree: Mapping[str, Entry], keep: Memoize, boots: Sequence[Boot] = ()) -> IsoLayout:
    """Lays out the ordered, complete `tree`. keep: memoises a section's layout. FormatError for what ISO 9660 cannot
    hold."""
    tree = {"": Directory(0o755, 0, 0, EPOCH), **dict(canonical_hard_links(tree))}
    limits.check(tree, "ISO 9660", LONGEST_NAME)
    for path, entry in tree.items():
        if type(entry) is File and entry.size > LARGEST_FILE:
            raise TooLarge(path, entry.size, "ISO 9660", LARGEST_FILE)
    catalog = SYSTEM // BLOCK + 3 + bool(boots)
    how = f"iso9660 {VERSION}"
    whole = isosection.lay_out(tree, keep, how, catalog + bool(boots), [boot.path for boot in boots])
    sizes, tables = keep(f"{how} path tables {whole.directories}", partial(_path_tables, whole.described))
    end = isodir.check_blocks(whole.end + length(tables) // BLOCK)
    return IsoLayout(whole, boots, catalog, tree[""].mtime, tables, sizes, end)


def write(plan: IsoLayout, out: Sink, label: str, system: bytes = b"") -> None:
    """Writes the file system, called `label`. system: its first 32 KiB. FormatError for a label that is too long or not
    ASCII."""
    if len(label) > LONGEST_LABEL or not label.isascii():
        raise FormatError(f"label {label!r}; ISO 9660 has room for {LONGEST_LABEL} characters of ASCII: shorten it")
    out.write(system.ljust(SYSTEM, b"\0"))
    out.write(_descriptor(plan, False, label))
    if plan.boots:
        out.write(ondisk.BOOT_DESCRIPTOR.pack(catalog=plan.catalog))
    out.write(_descriptor(plan, True, label))
    out.write(ondisk.VOLUME.pack(type=ondisk.TERMINATOR, structure_version=0))
    if plan.boots:
        out.write(_catalog(plan).ljust(BLOCK, b"\0"))
    for part in plan.whole.parts:
        out.extend(part)
    out.extend(plan.tables)


def _descriptor(plan: IsoLayout, joliet: bool, label: str) -> bytes:
    """The primary or the supplementary volume descriptor (8.4, 8.5)."""
    encoding = "utf-16-be" if joliet else "ascii"

    def text(value: str, size: int) -> bytes:
        return value.ljust(size).encode(encoding)[:size]

    size = plan.sizes[joliet]
    table = plan.whole.end + (2 * -(-plan.sizes[0] // BLOCK) if joliet else 0)
    names = {name: text("", 128) for name in ("volume_set", "publisher", "preparer")}
    files = {name: text("", 37) for name in ("copyright", "abstract", "bibliography")}
    return ondisk.VOLUME.pack(
        type=ondisk.SUPPLEMENTARY if joliet else ondisk.PRIMARY, system=text("LINUX", 32), volume=text(label, 32),
        space_size=both(plan.end), escape_sequences=b"%/E" if joliet else b"", set_size=both_16(1),
        sequence_number=both_16(1), block_size=both_16(BLOCK), path_table_size=both(size), l_path_table=table,
        m_path_table=pack(">I", table + -(-size // BLOCK)), application=text("NODEKILN", 128), created=MADE,
        modified=MADE, expires=NEVER, effective=MADE, **names, **files,
        root=isodir.root_record(plan.whole.root[joliet], plan.modified),
    )  # fmt: skip


def _path_tables(described: Callable[[], Sequence[DirectoryIndex]], out: Sink) -> list[int]:
    """Writes all directories, level by level (9.4), in both byte orders; the bytes of each kind of table."""
    sizes = []
    for folders, places in described():
        rows = [("", b"\0", 1)]
        for number, (path, _, _) in enumerate(rows, 1):  # grows below, level by level
            found = folders.get(path, ())
            if found and number > MOST_FOLDERS:
                raise FormatError(f"{limits.short_path(path)}: directory {number}, with others in it; {ROOM}")
            rows += [(child, name.encode("latin-1"), number) for child, name in found]
        for record in (ondisk.PATH_RECORD.struct.pack, ondisk.PATH_RECORD_BIG.struct.pack):
            fixed = [record(len(name), 0, places[path][0], above) for path, name, above in rows]
            table = b"".join([head + row[1] + PADDING[len(row[1]) % 2] for head, row in zip(fixed, rows, strict=True)])
            out.write(table + bytes(-len(table) % BLOCK))
        sizes.append(len(table))
    return sizes


def _catalog(plan: IsoLayout) -> bytes:
    """The boot catalog: validation entry, the default entry, and a section for each further platform."""
    first, *others = plan.boots
    data = bytearray(ondisk.VALIDATION.pack(platform=first.platform, id=b"NODEKILN"))
    ondisk.VALIDATION.patch(data, checksum=-sum(unpack("<16H", data)) & 0xFFFF)
    data += _boot_entry(plan, first)
    for number, boot in enumerate(others, 1):
        indicator = ondisk.LAST_SECTION if number == len(others) else ondisk.SECTION
        data += ondisk.BOOT_SECTION.pack(indicator=indicator, platform=boot.platform) + _boot_entry(plan, boot)
    return bytes(data)


def _boot_entry(plan: IsoLayout, boot: Boot) -> bytes:
    return ondisk.BOOT_ENTRY.pack(sectors=boot.sectors, start=plan.block(boot.path))
