"""Authenticode: hashes of EFI programs, and the bytes that their signatures sign.

Source: Microsoft, Windows Authenticode Portable Executable Signature Format; UEFI 2.10, 32.2.4 and 32.5.3; RFC 2315. A
signature has no time and no other attribute that is not needed, so that equal programs and keys give equal bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.ondisk import Structure, der, pe
from pipeline.ondisk.x509 import SHA256

CERTIFICATE = Structure("<", dwLength="I", wRevision=("H", 0x0200), wCertificateType=("H", 0x0002))
"""WIN_CERTIFICATE, before a signature; dwLength counts it and the signature, without padding."""
ALIGNMENT = 8
"""Alignment of entries of the certificate table, in bytes."""
LARGEST_TABLE = 1 << 16
"""Maximum size of a certificate table, in bytes; a signature has about 2 KiB."""
LARGEST_HEAD = 1 << 16
"""Maximum size of a program's headers, in bytes."""

SIGNED_DATA = der.identifier("1.2.840.113549.1.7.2")
INDIRECT_DATA = der.identifier("1.3.6.1.4.1.311.2.1.4")
PE_IMAGE = der.identifier("1.3.6.1.4.1.311.2.1.15")
CONTENT_TYPE = der.identifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = der.identifier("1.2.840.113549.1.9.4")
EXPLICIT_0, IMPLICIT_STRING, EXPLICIT_FILE = 0xA0, 0x80, 0xA2
OBSOLETE = "<<<Obsolete>>>".encode("utf-16-be")
"""The name of the program, which Authenticode does not use any more."""


class Layout(NamedTuple):
    """Offsets in a program, in bytes."""

    checksum: int
    directory: int
    """The data directory's entry of the certificate table."""
    headers: int
    """The end of the headers."""
    end: int
    """The end of what is hashed: the certificate table begins here, after padding."""
    table: int
    """Size of the certificate table."""


def layout(head: bytes, size: int) -> Layout:
    """Returns the layout of a program of `size` bytes that starts with `head`, its headers or more. ValueError.

    Firmware hashes headers and sections, then what is left from the end of their total size on: with gaps or overlaps
    that is not the rest of the file, so a program must have none.
    """
    dos = pe.DOS.unpack(head)
    start = dos.lfanew + len(pe.MAGIC)
    if dos.magic != pe.DOS_MAGIC or not head.startswith(pe.MAGIC, dos.lfanew):
        raise ValueError("it has no PE header")
    coff, optional = pe.COFF.unpack(head, start), start + pe.COFF.size
    header = pe.OPTIONAL.unpack(head, optional)
    if header.Magic not in pe.DIRECTORIES:
        raise ValueError("it is neither PE32 nor PE32+")
    directories = optional + pe.DIRECTORIES[header.Magic]
    directory = directories + pe.CERTIFICATES * pe.DATA_DIRECTORY.size
    if int.from_bytes(head[directories - 4 : directories], "little") <= pe.CERTIFICATES:
        raise ValueError("its header has no room for a certificate table")
    if not header.SizeOfHeaders <= min(len(head), size, LARGEST_HEAD):
        raise ValueError(f"headers of {header.SizeOfHeaders} bytes")
    end = _sections_end(head, optional + coff.SizeOfOptionalHeader, coff.NumberOfSections, header.SizeOfHeaders)
    entry = pe.DATA_DIRECTORY.unpack(head, directory)
    checksum = optional + pe.OPTIONAL.offset["CheckSum"]
    return Layout(checksum, directory, header.SizeOfHeaders, *_table(entry.VirtualAddress, entry.Size, end, size))


def _sections_end(head: bytes, table: int, count: int, end: int) -> int:
    rows = [pe.SECTION.unpack(head, table + number * pe.SECTION.size) for number in range(count)]
    for row in sorted((row for row in rows if row.SizeOfRawData), key=lambda row: row.PointerToRawData):
        if row.PointerToRawData != end:
            raise ValueError(f"a section that starts at {row.PointerToRawData}, where {end} bytes precede it")
        end += row.SizeOfRawData
    return end


def _table(place: int, length: int, sections: int, size: int) -> tuple[int, int]:
    """Returns where the certificate table of a program starts, and its size; (size, 0) if there is none."""
    if sections > size:
        raise ValueError(f"sections that end at {sections}, in a file of {size} bytes")
    if not length:
        return size, 0
    if length > LARGEST_TABLE:
        raise ValueError(f"a certificate table of {length} bytes: {LARGEST_TABLE} are taken")
    if place % ALIGNMENT or place < sections or place + length != size:
        raise ValueError("a certificate table that is not at the end of the file")
    return place, length


def image_hash(head: bytes, rest: Iterable[bytes], size: int) -> bytes:
    """Returns the Authenticode hash (SHA-256) of a program, signed or not. ValueError.

    head: its first bytes, at least the headers. rest: the bytes behind `head`. size: of the whole file. The padding of
    an unsigned program to 8 bytes is hashed, since it precedes a signature.
    """
    where = layout(head, size)
    digest = hashlib.sha256(head[: where.checksum])
    digest.update(head[where.checksum + 4 : where.directory])
    digest.update(head[where.directory + pe.DATA_DIRECTORY.size : where.end])
    left = max(where.end - len(head), 0)
    for piece in rest:
        digest.update(piece[:left])
        left -= min(left, len(piece))
    if left:
        raise ValueError(f"it ends {left} bytes early")
    digest.update(bytes(-where.end % ALIGNMENT))
    return digest.digest()


def indirect_data(image: bytes) -> bytes:
    """Returns the SpcIndirectDataContent of a program with the Authenticode hash `image`."""
    link = der.encode(EXPLICIT_FILE, der.encode(IMPLICIT_STRING, OBSOLETE))
    data = der.encode(der.SEQUENCE, der.encode(der.BIT_STRING, b"\0"), der.encode(EXPLICIT_0, link))
    digest = der.encode(der.SEQUENCE, SHA256, der.encode(der.OCTET_STRING, image))
    return der.encode(der.SEQUENCE, der.encode(der.SEQUENCE, PE_IMAGE, data), digest)


def signed_attributes(image: bytes) -> bytes:
    """Returns what a signer signs for a program with the Authenticode hash `image`: a SET OF two attributes.

    Its SHA-256 identifies a signature in a file of signatures.
    """
    digest = hashlib.sha256(der.read(indirect_data(image)).content).digest()
    return der.set_of(
        der.SET,
        _attribute(CONTENT_TYPE, INDIRECT_DATA),
        _attribute(MESSAGE_DIGEST, der.encode(der.OCTET_STRING, digest)),
    )


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.encode(der.SEQUENCE, kind, der.encode(der.SET, value))
