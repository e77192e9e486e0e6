"""Columns: the bytes that name a tree. What its entries have of one kind stands together, and what most of them have
alike stands there once, so that a root of 20 000 entries is read or written in half the time that one row each takes.

The document is JSON. `blobs`: what slices are of. `heads`: kind, mode, uid, gid, mtime and extended attributes
(latin-1), each once. `paths`, `head`: of every entry; the number of its head. `blob` (-1: a hole), `offset`, `length`:
of every slice of every file, in order. `slices`: pairs of the number of a file and how many slices it has, for those
that do not have one. `inodes`: path -> group of hard links. `rest`: of symlinks the target, of devices [kind, major,
minor].
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count, islice, repeat
from typing import Any

from pipeline.digest import Digest
from pipeline.tree import Content, Device, Directory, Entry, File, Slice, Symlink, Tree

VERSION = 2
"""Changes with the bytes. Whoever remembers a tree by name remembers it by this, too."""
START = b'{"tree":%d,"blobs":' % VERSION
"""How every tree begins; the list of its blobs follows, which is flat."""
KINDS: dict[type[Entry], str] = {Directory: "d", File: "f", Symlink: "l", Device: "n"}


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
    numbers: dict[Digest | None, int] = {each: number for number, each in enumerate(dict.fromkeys(filter(None, blob)))}
    document = {
        "tree": VERSION,
        "blobs": list(numbers),
        "heads": [[KINDS[kind], *each[:4], [[k, v.decode("latin-1")] for k, v in each[4]]] for kind, each in heads],
        "paths": list(tree),
        "head": head,
        "blob": list(map((numbers | {None: -1}).__getitem__, blob)),
        "offset": offset,
        "length": length,
        "slices": [(number, len(content)) for number, content in enumerate(contents) if len(content) != 1],
        "inodes": inodes,
        "rest": rest,
    }
    return json.dumps(document, separators=(",", ":"), check_circular=False).encode()


def load(data: bytes) -> Tree:
    """The tree that `dump` wrote. Only for bytes whose digest was checked or that this project wrote."""
    document = json.loads(data)
    new = tuple.__new__  # a named tuple's own takes twice as long
    blobs: list[Digest | None] = [*map(Digest, document["blobs"]), None]
    columns = map(blobs.__getitem__, document["blob"]), document["offset"], document["length"]
    contents = _contents(map(new, repeat(Slice), zip(*columns, strict=True)), dict(document["slices"]))
    types = {name: kind for kind, name in KINDS.items()}
    heads = [
        (types[kind], (*head, tuple([(name, value.encode("latin-1")) for name, value in xattrs])))
        for kind, *head, xattrs in document["heads"]
    ]
    inode, rest, tree = document["inodes"].get, iter(document["rest"]), Tree()
    for path, number in zip(document["paths"], document["head"], strict=True):
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
