"""Trees to write: one that has every kind of entry, and random ones."""

from __future__ import annotations

import contextlib
import hashlib
import os
import string
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st

from pipeline.compression import compress
from pipeline.incremental import compress_blocks, compress_headed_blocks, memoized, one_by_one
from pipeline.model import tree as trees
from pipeline.model.tree import (
    Compress,
    Content,
    Device,
    Directory,
    File,
    Memoize,
    Slice,
    Symlink,
    Transform,
    Tree,
    complete,
)
from pipeline.store import Store
from pipeline.writers import erofsdata, qcow2compressed, squashdata, squashfs, vmdk

WHEN = 1700000000


def noise(size: int, seed: str = "") -> bytes:
    """`size` bytes that do not compress, always the same."""
    blocks = (hashlib.sha256(f"{seed}{number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def plain(store: Store) -> Tree:
    """Directories and files, as any structure here can hold them."""
    long = "a name that is longer than any short form and has more than one dot.tar.gz"
    contents = {
        "EMPTY": (),
        "README.TXT": store.content(b"read me\n"),
        "boot/kernel": store.content(noise(300_000)),
        "boot/Initrd.img": store.content(noise(70_001)),
        f"deep/er/and/deeper/{long}": store.content(b"x" * 5000),
        "holes.img": (Slice(None, 0, 100_000), *store.content(b"data"), Slice(None, 0, 300_000)),
        "naïve Größe 文.txt": store.content(b"unicode"),
        "parts": (*store.content(b"one, "), *store.content(b"two")),
    }
    return complete(Tree((path, File(0o644, 0, 0, WHEN, (), content)) for path, content in contents.items())).ordered()


def special(store: Store, devices: bool = True) -> Tree:
    """What Unix file systems hold besides: owners, modes, times, links, devices, attributes, names of any bytes."""
    shared = store.content(b"one file, three names\n" * 100)
    tree = Tree({
        "": Directory(0o755, 0, 0, WHEN),
        "bin": Directory(0o755, 0, 0, WHEN),
        "bin/su": File(0o4755, 0, 0, WHEN, (), store.content(noise(40_000, "su"))),
        "bin/ping": File(0o755, 0, 0, WHEN, (("security.capability", bytes.fromhex("0100000200200000") + bytes(12)),),
                         store.content(b"ping")),
        "bin/sh": Symlink(0o777, 0, 0, WHEN, (), "busybox"),
        "bin/same-a": File(0o755, 3, 4, WHEN, (), shared, "x"),
        "lib/same-b": File(0o755, 3, 4, WHEN, (), shared, "x"),
        "etc/same-c": File(0o755, 3, 4, WHEN, (), shared, "x"),
        "etc/empty-a": File(0o600, 0, 0, WHEN, (), (), "y"),
        "etc/empty-b": File(0o600, 0, 0, WHEN, (), (), "y"),
        "etc/shadow": File(0o640, 0, 42, WHEN + 1, (("user.a", b"1"), ("user.b", bytes(range(256)))),
                           store.content(b"*")),
        "tmp": Directory(0o1777, 1000, 65534, WHEN),
        "lib/" + "d" * 120 + "/" + "f" * 200: File(0o644, 0, 0, WHEN, (), store.content(b"long")),
        "lib/long": Symlink(0o777, 0, 0, WHEN, (), "d" * 120 + "/" + "f" * 200),
        os.fsdecode(b"lib/\xff\xfe not utf-8 \n"): File(0o644, 0, 0, WHEN, (), store.content(b"bytes")),
    })  # fmt: skip
    if devices:
        tree |= {
            "dev/console": Device(0o600, 0, 5, WHEN, (), "c", 5, 1),
            "dev/sda300": Device(0o660, 0, 6, WHEN, (), "b", 259, 300),
            "dev/fifo": Device(0o644, 0, 0, WHEN, (), "p", 0, 0),
        }
    return Tree(complete(tree).ordered() | plain(store)).ordered()


_letters = string.ascii_lowercase[:4] + "éß" + "~. "
names = st.text(_letters, min_size=1, max_size=30).map(lambda name: name.strip(". ") or "x").filter(str.isprintable)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
pieces = st.one_of(st.binary(max_size=3000), st.integers(1, 3_000).map(lambda size: size))


@st.composite
def random_files(draw: st.DrawFn) -> dict[str, list[bytes | int]]:
    """path -> pieces of its content (bytes, or the size of a hole); no path is a directory of another."""
    found = draw(st.dictionaries(paths, st.lists(pieces, max_size=3), max_size=12))
    folded: set[str] = set()
    result: dict[str, list[bytes | int]] = {}
    for path in sorted(found):
        above = {"/".join(path.upper().split("/")[:count]) for count in range(1, path.count("/") + 1)}
        spelled = {"/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 1)}
        known = {"/".join(other.split("/")[:count]) for other in result for count in range(1, other.count("/") + 2)}
        twins = {other for other in known if other.upper() in above | {path.upper()}}
        if path.upper() not in folded and not above & folded and twins <= spelled and path not in known:
            folded.add(path.upper())
            result[path] = found[path]
    return result


def stored(store: Store, files: dict[str, list[bytes | int]]) -> Tree:
    """The tree of such files, their bytes in `store`."""

    def content(pieces: list[bytes | int]) -> Content:
        rope = store.rope()
        for piece in pieces:
            rope.zeros(piece) if isinstance(piece, int) else rope.write(piece)
        return rope.finish()

    return complete(Tree((path, File(0o644, 0, 0, WHEN, (), content(each))) for path, each in files.items())).ordered()


def written(store: Store, write: object, path: Path) -> Path:
    """Call `write(sink)` and put what it wrote into the file `path`."""
    out = store.rope()
    write(out)
    store.export(out.finish(), path)
    return path


def pack(store: Store, work: Transform, how: str = "sample") -> Compress:
    """What packs the pieces of a writer, as a stage does."""
    return partial(compress_blocks, store, how, work)


@contextlib.contextmanager
def in_sections(many: int) -> Iterator[None]:
    """Sections of so many paths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "SECTION", many)
        yield


def keep(store: Store) -> Memoize:
    """What makes the sections of an ext4."""
    return partial(memoized, store)


def grains(store: Store) -> vmdk.Pack:
    """What packs the grains of a vmdk."""
    return partial(compress_headed_blocks, store, "vmdk", one_by_one(partial(vmdk.compress_grain, compress.zlib(1))))


def clusters(store: Store, compression: str) -> Compress:
    """What packs the clusters of a qcow2 image."""
    compressing = compress.block_compressor(compress.parse(compression))
    return pack(store, partial(qcow2compressed.compress_clusters, compressing), f"qcow2 {compression}")


def blocks(store: Store, compression: str) -> squashfs.Packing:
    """What packs the blocks of a squashfs."""
    name = compression.partition(":")[0]
    block = compress.block_compressor(compress.parse(compression))
    make = pack(store, partial(squashdata.compress_blocks, block), f"squashfs {compression}")
    return squashfs.Packing(name, block, make)


def lz4(store: Store, level: int | None) -> Compress | None:
    """What packs the extents of an erofs, at level `level`."""
    return (
        pack(store, one_by_one(partial(erofsdata.compress_extent, compress.lz4(level))), f"lz4 {level}")
        if level
        else None
    )


def read(store: Store, content: Content) -> bytes:
    return b"".join(store.read(content))
