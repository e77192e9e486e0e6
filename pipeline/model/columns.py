"""A column-oriented serialisation of trees: each attribute is one array, and common attributes are stored once.

That takes less than half the time of a row for each entry. The document is JSON. `blobs`: digests that slices refer to.
`heads`: combinations of kind, mode, uid, gid, mtime and extended attributes (latin-1). `paths`: all paths, "//" between
two. `head`: number of each entry's head. `blob`, `offset`, `length`: of every slice of every file, in order; the blob
number behind the last is a hole. `slices`: file number -> number of slices, if that is not one. `inodes`: path -> group
of hard links. `rest`: targets of symlinks and [kind, major, minor] of devices, in order. Arrays of numbers are base64,
little-endian, 4 bytes each (`offset` and `length` 8): as JSON they would take most of the time.
"""

from __future__ import annotations

import json
import sys
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count, islice, repeat
from typing import Any

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Device, Directory, Entry, File, Slice, Symlink, Tree

VERSION = 3
"""Changes with the bytes. Part of every memo and key that refers to a tree."""
START = b'{"tree":%d,"blobs":' % VERSION
"""First bytes of every tree; a flat list of its blobs follows."""
KINDS: dict[type[Entry], str] = {Directory: "d", File: "f", Symlink: "l", Device: "n"}
BETWEEN = "//"
"""Separator of paths, which never contain it."""


def dump(tree: Mapping[str, Entry]) -> bytes:
    """Returns the serialisation of `tree`, which must be ordered."""
    heads: dict[tuple[type[Entry], tuple[Any, ...]], int] = {}
    head: list[int] = []
    contents: list[Content] = []
    inodes: dict[str, str] = {}
    rest: list[Any] = []
    for path, entry in tree.items():
        head.append(heads.setdefault((type(entry), entry[:5]), len(heads)))
        if type(entry) is File:
            contents.append(entry.content)
            if entry.inode:
                inodes[path] = entry.inode
        elif type(entry) is Symlink:
            rest.append(entry.target)
        elif type(entry) is Device:
            rest.append(entry[5:])
    blob, offset, length = zip(*chain.from_iterable(contents), strict=True) if any(contents) else ((), (), ())
    blobs = list(dict.fromkeys(filter(None, blob)))
    numbers: dict[Digest | None, int] = {digest: number for number, digest in enumerate([*blobs, None])}
    document = {
        "tree": VERSION,
        "blobs": blobs,
        "heads": [[KINDS[kind], *row[:4], [[k, v.decode("latin-1")] for k, v in row[4]]] for kind, row in heads],
        "paths": BETWEEN.join(tree),
        "head": _encoded("I", head),
        "blob": _encoded("I", map(numbers.__getitem__, blob)),
        "offset": _encoded("Q", offset),
        "length": _encoded("Q", length),
        "slices": {number: len(content) for number, content in enumerate(contents) if len(content) != 1},
        "inodes": inodes,
        "rest": rest,
    }
    return json.dumps(document, separators=(",", ":"), check_circular=False).encode()


def load(data: bytes) -> Tree:
    """Returns the tree that `dump` serialised. Only for bytes whose digest was verified, or that this project wrote."""
    document = json.loads(data)
    new = tuple.__new__  # a named tuple's own takes twice as long
    blobs: list[Digest | None] = [*map(Digest, document["blobs"]), None]
    places = _decoded("Q", document["offset"]), _decoded("Q", document["length"])
    slices = zip(map(blobs.__getitem__, _decoded("I", document["blob"])), *places, strict=True)
    many = {int(number): size for number, size in document["slices"].items()}
    contents = _contents(map(new, repeat(Slice), slices), many)
    types = {name: kind for kind, name in KINDS.items()}
    heads = [
        (types[kind], (*head, tuple([(name, value.encode("latin-1")) for name, value in xattrs])))
        for kind, *head, xattrs in document["heads"]
    ]
    head_of, paths = _decoded("I", document["head"]), document["paths"].split(BETWEEN)
    inode, rest, tree = document["inodes"].get, iter(document["rest"]), Tree()
    for path, number in zip(paths if head_of else (), head_of, strict=True):
        kind, head = heads[number]
        if kind is File:
            tree[path] = new(File, (*head, next(contents), inode(path, "")))
        elif kind is Directory:
            tree[path] = new(Directory, head)
        elif kind is Symlink:
            tree[path] = new(Symlink, (*head, next(rest)))
        else:
            tree[path] = new(Device, (*head, *next(rest)))
    return tree


def named(tree: Mapping[str, Entry], *values: Any) -> Digest:
    """Returns a digest that identifies `tree`, which must be ordered, together with JSON `values`."""
    text = json.dumps(values, default=bytes.hex, check_circular=False)  # to look for circles takes a third
    return Digest.of(dump(tree) + text.encode())


def _contents(slices: Iterable[Slice], many: Mapping[int, int]) -> Iterator[Content]:
    """Yields the content of each file. many: file number -> number of slices, if that is not one."""
    if not many:
        return zip(slices, strict=False)
    rest = iter(slices)
    return (tuple(islice(rest, many[number])) if number in many else (next(rest),) for number in count())


def _encoded(size: str, numbers: Iterable[int]) -> str:
    return b2a_base64(_little(array(size, numbers)), newline=False).decode()


def _decoded(size: str, text: str) -> array[int]:
    return _little(array(size, a2b_base64(text)))


def _little(numbers: array[int]) -> array[int]:
    """Converts between this machine's byte order and little-endian."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
