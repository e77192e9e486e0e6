"""cpio archives in the "new ASCII" form (newc), as the kernel unpacks them into its first root file system.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel, and cpio(5). The form has no place for
extended attributes: they are left out. Sizes, ids and times are 32-bit numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pipeline.model.tree import Content, Directory, Entry, File, Sink, Symlink, length
from pipeline.ondisk import cpio as ondisk
from pipeline.writers import TooLarge, canonical_hard_links, limits, raw
from pipeline.writers.carried import Carried

VERSION = 2
STRUCTURE = "a cpio archive (initrd)"
LARGEST_FILE = (1 << 32) - 1
"""Maximum size of a file, in bytes: its field has 8 hexadecimal digits (buffer-format.rst)."""
LONGEST_PATH = limits.LONGEST_PATH
"""Maximum length of a path, in bytes: the kernel ignores entries with longer ones (init/initramfs.c)."""
LATEST = (1 << 32) - 1
"""Latest time stamp, in seconds since 1970 (8 hexadecimal digits). One outside 1970 to 2106 is moved to the nearest
end."""
CARRIED = Carried("an initrd (cpio)", (), 0, LATEST)
TYPES = {"c": 0o020000, "b": 0o060000, "p": 0o010000}
ZEROS = ("devmajor", "devminor", "check")
HEADER = ondisk.MAGIC + b"".join(b"0" * ondisk.DIGITS if name in ZEROS else b"%08X" for name in ondisk.Header._fields)
TRAILER = HEADER % (0, 0, 0, 0, 1, 0, 0, 0, 0, len(ondisk.TRAILER) + 1) + ondisk.TRAILER + b"\0"


def write(tree: Mapping[str, Entry], out: Sink) -> None:
    """Writes the ordered `tree` to `out` as one whole archive, padded to 4 bytes so that another may follow.

    The last name of a hard-linked file carries the data, as in GNU cpio. TooLarge for files of 4 GiB and more,
    FormatError for paths over 4095 bytes and what Linux cannot hold.
    """
    for piece in _pieces(tree):
        if isinstance(piece, bytes):
            out.write(piece)
        else:
            out.extend(piece)


def size(tree: Mapping[str, Entry]) -> int:
    """Returns the number of bytes that `write` makes of `tree`."""
    return sum(len(piece) if isinstance(piece, bytes) else length(piece) for piece in _pieces(tree))


def _pieces(tree: Mapping[str, Entry]) -> Iterator[bytes | Content]:
    """The archive, in order: headers with names and link targets as bytes, data of files by reference."""
    limits.check(tree, STRUCTURE)
    links = Counter(entry.inode for entry in tree.values() if isinstance(entry, File) and entry.inode)
    left = Counter(links)
    inodes: dict[str, int] = {}
    padding = b""
    for number, (path, entry) in enumerate(canonical_hard_links(tree), 1):
        if isinstance(entry, File):
            inode, count, content = number, 1, entry.content
            if entry.inode:
                inode, count = inodes.setdefault(entry.inode, number), links[entry.inode]
                left[entry.inode] -= 1
                content = () if left[entry.inode] else content
            data = length(content)
            if data > LARGEST_FILE:
                raise TooLarge(path, data, STRUCTURE, LARGEST_FILE)
            yield padding + _header(path, entry, 0o100000, inode, count, data)
            if content:
                yield content
            padding = bytes(-data % 4)
        elif isinstance(entry, Directory):
            yield padding + _header(path or ".", entry, 0o040000, number, 2, 0)
            padding = b""
        elif isinstance(entry, Symlink):
            target = raw(entry.target)
            yield padding + _header(path, entry, 0o120000, number, 1, len(target)) + target
            padding = bytes(-len(target) % 4)
        else:
            yield padding + _header(path, entry, TYPES[entry.kind], number, 1, 0, entry.major, entry.minor)
            padding = b""
    yield padding + TRAILER + bytes(-len(TRAILER) % 4)


def _header(
    path: str, entry: Entry, kind: int, inode: int, links: int, data: int, major: int = 0, minor: int = 0
) -> bytes:
    name = raw(path)
    if len(name) > LONGEST_PATH:
        raise limits.limit_error(path, "a path", len(name), LONGEST_PATH, STRUCTURE, "make it less deep")
    mode, mtime = kind | entry.mode & 0o7777, min(max(entry.mtime, 0), LATEST)
    head = HEADER % (inode, mode, entry.uid, entry.gid, links, mtime, data, major, minor, len(name) + 1)
    return head + name + bytes(4 - (len(head) + len(name)) % 4)
