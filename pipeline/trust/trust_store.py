"""Trust stores of notation: folders of certificates (notaryproject/specifications, trust-store-trust-policy.md, "Trust
Store").

    x509/ca/NAME/FILE                  roots of signers
    x509/signingAuthority/NAME/FILE    roots of signing authorities, whose word on the time is taken
    x509/tsa/NAME/FILE                 roots of time stamp authorities

All named stores of a folder are trusted. A file has certificates in PEM, or in DER, one after another.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.host.tracked import tracked_input
from pipeline.ondisk import der
from pipeline.trust import certificate, codesigning
from pipeline.trust.error import SignatureRefusal

CA, AUTHORITY, TSA = "ca", "signingAuthority", "tsa"
FILE = re.compile(rf"x509/({CA}|{AUTHORITY}|{TSA})/([A-Za-z0-9_.-]+)/[^/]+")
"""Path of a certificate in a folder."""
LARGEST_FILE = 1 << 20
"""Maximum size of a file with certificates, in bytes."""
MOST_FILES = 1000
"""Maximum number of files in a folder."""
DEPTH = 4
"""Number of names in a path of FILE."""
PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]*)-----END \1-----")


class TrustStore(NamedTuple):
    """Certificates in DER, sorted: of signers' roots, of signing authorities' and of time stamp authorities'."""

    ca: tuple[bytes, ...]
    signing_authority: tuple[bytes, ...]
    tsa: tuple[bytes, ...]


@tracked_input
def read(folder: Path | str) -> dict[str, bytes]:
    """Returns the files in `folder`: their paths in it, sorted -> their bytes. SignatureRefusal; OSError.

    Symbolic links, and folders in a named store, are refused: what is trusted stands in its place, to be seen there.
    """
    files: dict[str, bytes] = {}
    for path in _paths(os.fspath(folder), ""):
        if len(files) == MOST_FILES:
            raise SignatureRefusal(f"{folder}: more than {MOST_FILES} files")
        with open(os.open(os.path.join(folder, path), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            files[path] = file.read(LARGEST_FILE + 1)
    return files


def parse(files: Mapping[str, bytes]) -> TrustStore:
    """Returns the certificates in `files` (paths as in FILE -> bytes). SignatureRefusal.

    Each has to be an authority's, or signed by itself; a time stamp authority's has to be both.
    """
    certificates: dict[str, set[bytes]] = {CA: set(), AUTHORITY: set(), TSA: set()}
    for path, unsafe_data in files.items():
        if not (match := FILE.fullmatch(path)):
            raise SignatureRefusal(
                f"{path}: a certificate of a trust store is x509/{{ca,signingAuthority,tsa}}/NAME/FILE"
            )
        try:
            certificates[match[1]].update(_certificates(unsafe_data, match[1]))
        except SignatureRefusal as error:
            raise SignatureRefusal(f"{path}: {error}") from None
    if not certificates[CA] and not certificates[AUTHORITY]:
        raise SignatureRefusal("a trust store without certificates in x509/ca or x509/signingAuthority")
    return TrustStore(*(tuple(sorted(certificates[kind])) for kind in (CA, AUTHORITY, TSA)))


def _paths(folder: str, prefix: str) -> Iterator[str]:
    """Yields the paths of regular files, sorted. SignatureRefusal for anything else, and for an empty folder."""
    names = sorted(os.listdir(os.path.join(folder, prefix)))
    depth = prefix.count("/") + bool(prefix)
    if not names:
        raise SignatureRefusal(f"{os.path.join(folder, prefix)}: there are no certificates")
    for name in names:
        path = f"{prefix}/{name}" if prefix else name
        mode = os.lstat(os.path.join(folder, path)).st_mode
        if stat.S_ISREG(mode) and depth == DEPTH - 1:
            yield path
        elif stat.S_ISDIR(mode) and depth < DEPTH - 1:
            yield from _paths(folder, path)
        else:
            raise SignatureRefusal(
                f"{os.path.join(folder, path)}: a trust store has files x509/{{ca,signingAuthority,tsa}}/NAME/FILE, "
                "no symbolic links, and nothing else"
            )


def _certificates(unsafe_data: bytes, kind: str) -> Iterable[bytes]:
    """Returns the certificates of a file. kind: of its named store."""
    if len(unsafe_data) > LARGEST_FILE:
        raise SignatureRefusal(f"larger than {LARGEST_FILE} bytes")
    found = list(_split(unsafe_data))
    if not found:
        raise SignatureRefusal("no certificates")
    for encoding in found:
        _check(encoding, kind)
    return found


def _check(encoding: bytes, kind: str) -> None:
    trusted = certificate.parse(encoding)
    authority = codesigning.is_authority(trusted)
    if kind == TSA:
        if not (authority and codesigning.is_issued_by(trusted, trusted)):
            raise SignatureRefusal("not the root of a time stamp authority: one that is signed by itself")
    elif not (authority or codesigning.is_issued_by(trusted, trusted)):
        raise SignatureRefusal("neither an authority's certificate, nor signed by itself")


def _split(unsafe_data: bytes) -> Iterator[bytes]:
    """Yields the encodings of certificates in PEM or DER."""
    try:
        if unsafe_data[:1] == bytes([der.SEQUENCE]):
            yield from (element.encoding for element in der.children(unsafe_data))
            return
        blocks = PEM.findall(unsafe_data)
        if len(blocks) != unsafe_data.count(b"-----BEGIN"):
            raise SignatureRefusal("PEM that is damaged")
        for label, text in blocks:
            if label != b"CERTIFICATE":
                raise SignatureRefusal(f"PEM with {label.decode()}: a CERTIFICATE belongs here")
            yield base64.b64decode(b"".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise SignatureRefusal("neither PEM nor DER") from None
