"""cpio archives in the "new ASCII" form. Source: kernel, Documentation/driver-api/early-userspace/buffer-format.rst."""

from collections import namedtuple

MAGIC, MAGIC_CRC = b"070701", b"070702"
TRAILER = b"TRAILER!!!"
DIGITS = 8
"""Hexadecimal digits of a number."""
Header = namedtuple(
    "Header", "ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check"
)
"""The numbers of a header, which follow the magic."""
SIZE = len(MAGIC) + DIGITS * len(Header._fields)
"""Bytes of a header."""
