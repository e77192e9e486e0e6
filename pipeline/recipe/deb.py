"""Stage: the files in Debian packages as a Tree (deb(5); ar(5), the common variant without long names).

A .deb is an ar archive of `debian-binary`, `control.tar*` and `data.tar*`. Its data is decompressed once, into a blob
that every recipe shares. Nothing is extracted, no maintainer script is run.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from pipeline.engine.action import Action
from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError
from pipeline.model.tree import File, Tree, below
from pipeline.oci.decompress import Budget, decoder
from pipeline.oci.error import Refusal
from pipeline.oci.layer import layer_tree
from pipeline.store import CHUNK, Store

VERSION = 1

SIZE_LIMIT = 16 << 30
"""Maximum size of a package's files, in bytes, holes included: some twenty times the largest package of Debian."""

CONTROL_LIMIT = 16 << 20
"""Maximum size of a package's control.tar, in bytes: twice the largest, which lists the sums of all files."""

_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_MAGIC = b"!<arch>\n"
_HEADER = 60
"""Size of a member's header, in bytes: name 16, mtime 12, uid 6, gid 6, mode 8, size 10, and the magic "`\\n"."""


class BadPackage(NodekilnError):
    """A file that is not a .deb, or a damaged one."""


class Member(NamedTuple):
    """A member of an ar archive: the place of its data."""

    name: str
    offset: int
    size: int


def unpack(store: Store, packages: Digest) -> Digest:
    """Returns a Tree with one folder a package, NAME/…, for the Tree `packages` ({NAME.deb: File}).

    BadPackage names the package that cannot be read.
    """
    from concurrent.futures import ThreadPoolExecutor

    debs = {path.removesuffix(".deb"): entry for path, entry in store.tree(packages).files().items()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        trees = list(pool.map(lambda name: _unpack(store, name, debs[name]), debs))
    unpacked = Tree()
    for name, tree in zip(debs, trees, strict=True):
        unpacked.update(below(name, store.tree(tree)))
    return store.put_tree(unpacked.ordered())


def files(store: Store, *, deb: str) -> Digest:
    """Returns the Tree of the blob `deb`. A stage of its own: packages that several recipes share are unpacked once."""
    with store.open_checked(Digest.parse(deb)) as file, store.create() as blob:
        data = next((member for member in members(file) if member.name.startswith("data.tar")), None)
        if data is None:
            raise BadPackage("no data.tar in it")
        for chunk in _decompress(data.name, _Section(file, data)):
            blob.write(chunk)
            if blob.size > SIZE_LIMIT:
                raise BadPackage(f"its files are more than {SIZE_LIMIT >> 30} GiB")
        budget = Budget(blob.size, SIZE_LIMIT - blob.size)
        return store.put_tree(layer_tree(store, blob.commit(), budget))


def control(store: Store, name: str, deb: Digest) -> dict[str, str]:
    """Returns the fields of one line in the control file (deb-control(5)) of the package `name`, by lower-case name.

    deb: its blob. BadPackage names the package.
    """
    try:
        return _control(store, deb)
    except (BadPackage, Refusal) as error:
        raise BadPackage(f"package {name}: {error}") from None


def _control(store: Store, deb: Digest) -> dict[str, str]:
    with store.open_checked(deb) as file:
        member = next((each for each in members(file) if each.name.startswith("control.tar")), None)
        if member is None:
            raise BadPackage("no control.tar in it")
        data = b""
        for chunk in _decompress(member.name, _Section(file, member)):
            data += chunk
            if len(data) > CONTROL_LIMIT:
                raise BadPackage(f"its control.tar is more than {CONTROL_LIMIT >> 20} MiB")
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            name = next((each for each in archive.getnames() if each in ("./control", "control")), "")
            content = archive.extractfile(name) if name else None
            text = content.read().decode("utf-8", "replace") if content else ""
    except (tarfile.TarError, KeyError) as error:
        raise BadPackage(f"its control.tar is damaged: {error}") from None
    return {name.lower(): value for name, value in _FIELD.findall(text)}


def members(file: BinaryIO) -> Iterator[Member]:
    """Yields the members of the ar archive `file`. BadPackage."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise BadPackage("not an ar archive")
    offset, end = len(_MAGIC), file.seek(0, os.SEEK_END)
    while offset < end:
        file.seek(offset)
        header = file.read(_HEADER)
        size = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
            raise BadPackage(f"no ar header at byte {offset}")
        offset += _HEADER
        if offset + int(size) > end:
            raise BadPackage("it is cut off")
        yield Member(header[:16].decode("ascii", "replace").rstrip(" /"), offset, int(size))
        offset += int(size) + int(size) % 2


def _unpack(store: Store, name: str, deb: File) -> Digest:
    try:
        return Action(f"unpack {name}", files, {"deb": deb.content[0].blob}).perform(store)[0]
    except (BadPackage, Refusal) as error:
        raise BadPackage(f"package {name}: {error}") from None


def _decompress(name: str, section: Any) -> Iterator[bytes]:
    """Yields the decompressed bytes of the member `name`, whose suffix is its compression, in chunks of up to CHUNK."""
    import lzma

    suffix = name.partition(".tar")[2]
    if suffix in ("", ".gz", ".zst"):
        yield from decoder(section)
    elif suffix == ".xz":
        try:
            yield from iter(partial(lzma.open(section).read, CHUNK), b"")
        except (lzma.LZMAError, EOFError) as error:
            raise BadPackage(f"{name} is damaged: {error}") from None
    else:
        raise BadPackage(f"{name} has a compression that deb(5) does not define")


class _Section:
    """The bytes of a member, as a file."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        self._file = file
        self._start = member.offset
        self._end = member.offset + member.size
        self.seek(0)

    def seek(self, position: int) -> None:
        self._file.seek(self._start + position)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._end - self._file.tell()))
