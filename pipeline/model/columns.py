"""Columns: the bytes that name a tree. What its entries have of one kind stands together, and what most of them have
alike stands there once, so that a root of 20 000 entries is read or written in less than half of the time that rows
take.

The document is JSON. `blobs`: what slices are of. `heads`: kind, mode, uid, gid, mtime and extended attributes
(latin-1), each once. `paths`: of all entries, "//" between two. `head`: of every entry, the number of its head. `blob`
(the number behind the last is a hole), `offset` and `length`: of every slice of every file, in order. `slices`: of how
many slices those files are that do not have one, by number. `inodes`: path -> group of hard links. `rest`: of symlinks
the target, of devices [kind, major, minor]. Rows of numbers are base64, little-endian, of 4 bytes each or (`offset`,
`length`) 8: as JSON they would take most of the time.
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
"""Changes with the bytes. Whoever remembers a tree by name remembers it by this, too."""
START = b'{"tree":%d,"blobs":' % VERSION
"""How every tree begins; the list of its blobs follows, which is flat."""
KINDS: dict[type[Entry], str] = {Directory: "d", File: "f", Symlink: "l", Device: "n"}
BETWEEN = "//"
"""Two paths: neither has it."""


def dump(tree: Mapping[str, Entry]) -> bytes:
    """The bytes that name `tree`, which must be ordered."""
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
    numbers: dict[Digest | None, int] = {each: number for number, each in enumerate([*blobs, None])}
    document = {
        "tree": VERSION,
        "blobs": blobs,
        "heads": [[KINDS[kind], *each[:4], [[k, v.decode("latin-1")] for k, v in each[4]]] for kind, each in heads],
        "paths": BETWEEN.join(tree),
        "head": _packed("I", head),
        "blob": _packed("I", map(numbers.__getitem__, blob)),
        "offset": _packed("Q", offset),
        "length": _packed("Q", length),
        "slices": {number: len(content) for number, content in enumerate(contents) if len(content) != 1},
        "inodes": inodes,
        "rest": rest,
    }
    return json.dumps(document, separators=(",", ":"), check_circular=False).encode()


def load(data: bytes) -> Tree:
    """The tree that `dump` wrote. Only for bytes whose digest was checked or that this project wrote."""
    document = json.loads(data)
    new = tuple.__new__  # a named tuple's own takes twice as long
    blobs: list[Digest | None] = [*map(Digest, document["blobs"]), None]
    places = _unpacked("Q", document["offset"]), _unpacked("Q", document["length"])
    slices = zip(map(blobs.__getitem__, _unpacked("I", document["blob"])), *places, strict=True)
    many = {int(number): each for number, each in document["slices"].items()}
    contents = _contents(map(new, repeat(Slice), slices), many)
    types = {name: kind for kind, name in KINDS.items()}
    heads = [
        (types[kind], (*head, tuple([(name, value.encode("latin-1")) for name, value in xattrs])))
        for kind, *head, xattrs in document["heads"]
    ]
    head_of, paths = _unpacked("I", document["head"]), document["paths"].split(BETWEEN)
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
    """Names `tree`, ordered, and values that JSON has, which are all that something is made of."""
    text = json.dumps(values, default=bytes.hex, check_circular=False)  # to look for circles takes a third
    return Digest.of(dump(tree) + text.encode())


def _contents(slices: Iterable[Slice], many: Mapping[int, int]) -> Iterator[Content]:
    """What each file holds; `many` says of how many slices, where it is not one."""
    if not many:
        return zip(slices, strict=False)
    rest = iter(slices)
    return (tuple(islice(rest, many[number])) if number in many else (next(rest),) for number in count())


def _packed(size: str, numbers: Iterable[int]) -> str:
    return b2a_base64(_little(array(size, numbers)), newline=False).decode()


def _unpacked(size: str, text: str) -> array[int]:
    return _little(array(size, a2b_base64(text)))


def _little(numbers: array[int]) -> array[int]:
    """From this machine's order of bytes to the one that is stored, or back."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
