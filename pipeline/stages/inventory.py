"""Stage: the inventory of a node, of which bills of materials are made: its parts, and the owner of each of its files.

A part is a package, an image, a recipe, the spec's files, or what nodekiln makes. Parts that only start the node (boot
loaders, the tools of a small initrd) have no files in the root, and neither have packages that only a bill of materials
of an image names (pipeline.stages.bills).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.model.digest import Digest, canonical_json
from pipeline.model.origins import Origin, Origins, of_tree
from pipeline.model.tree import Content, File, files
from pipeline.recipe.ownership import load as load_origins
from pipeline.stages import bills as external
from pipeline.store import Store

VERSION = 2
FILE = "inventory.json"
"""Path of the result in its tree."""


class Part(NamedTuple):
    """A part of a node: an origin without the ways by which it came.

    within: recipes and images that it came by. layers: of an image. boots: whether only a boot loader's image has it.
    """

    origin: Origin
    within: tuple[str, ...]
    layers: tuple[str, ...]
    boots: bool


class OwnedFile(NamedTuple):
    """A regular file of the root. part: number of its part."""

    path: str
    sha1: str
    sha256: str
    part: int


class Inventory(NamedTuple):
    """The inventory of a node. epoch: its time stamp, in seconds since 1970."""

    name: str
    arch: str
    epoch: int
    parts: tuple[Part, ...]
    files: tuple[OwnedFile, ...]


def inventory(
    store: Store, root: Digest, origins: Digest, *more: Digest, name: str, arch: str, epoch: int, bills: int = 0
) -> Digest:
    """Returns Tree {FILE} of a root file system and the origins of its paths.

    more: tree and origins of each image that starts the node, then as many results of the stage `bills` as `bills`.
    """
    tree, owners = store.tree(root), load_origins(store, origins)
    boot_images, listed = more[: len(more) - bills], more[len(more) - bills :]
    pairs = zip(boot_images[::2], boot_images[1::2], strict=True)
    loaders = [of_tree(store.tree(image), load_origins(store, known)) for image, known in pairs]
    parts = _parts(owners, loaders, [origin for each in listed for origin in external.load(store, each)])
    number = {part.origin: at for at, part in enumerate(parts)}
    sums = _sums(store, tree.files())
    rows = [[path, *sums[path], number[_subject(owners[path])]] for path in sums]
    document = {
        "name": name,
        "arch": arch,
        "epoch": epoch,
        "parts": [part._asdict() | {"origin": _fields(part.origin)} for part in parts],
        "files": rows,
    }
    return store.put_tree(files([(FILE, store.content(canonical_json(document)))]))


def load(store: Store, result: Digest) -> Inventory:
    """Returns the inventory in a result of `inventory`."""
    document = json.loads(store.bytes(store.tree(result).file(FILE).content))
    parts = (
        Part(
            Origin(**part["origin"] | {"licenses": tuple(part["origin"].get("licenses", ()))}),
            tuple(part["within"]),
            tuple(part["layers"]),
            part["boots"],
        )
        for part in document["parts"]
    )
    rows = (OwnedFile(*row) for row in document["files"])
    return Inventory(document["name"], document["arch"], document["epoch"], tuple(parts), tuple(rows))


def _subject(origin: Origin) -> Origin:
    """Returns the origin without the way by which it came: the same package in two images is one."""
    return origin._replace(within="", layer="")


def _fields(origin: Origin) -> dict[str, object]:
    """Returns the fields of an origin that are not empty."""
    return {key: value for key, value in origin._asdict().items() if value}


def _parts(owners: Origins, loaders: Iterable[Mapping[str, Origin]], listed: Iterable[Origin]) -> list[Part]:
    """Returns the parts in the root, in boot loaders' images, and in bills of materials, sorted."""
    in_root = {*owners.values(), *listed}
    everything = in_root.union(*(each.values() for each in loaders))
    rooted = {_subject(each) for each in in_root}
    ways: dict[Origin, list[Origin]] = {}
    for origin in everything:
        ways.setdefault(_subject(origin), []).append(origin)
    return [
        Part(
            subject,
            tuple(sorted({each.within for each in ways[subject]} - {""})),
            tuple(sorted({each.layer for each in ways[subject]} - {""})),
            subject not in rooted,
        )
        for subject in sorted(ways)
    ]


def _sums(store: Store, rows: Mapping[str, File]) -> dict[str, tuple[str, str]]:
    """Returns SHA-1 and SHA-256 (hex) of each file; each content is read once."""
    from concurrent.futures import ThreadPoolExecutor

    contents = list(dict.fromkeys(file.content for file in rows.values()))

    def of(content: Content) -> tuple[str, str]:
        sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
        for data in store.read(content):
            sha1.update(data)
            sha256.update(data)
        return sha1.hexdigest(), sha256.hexdigest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sums = dict(zip(contents, pool.map(of, contents), strict=True))
    return {path: sums[file.content] for path, file in rows.items()}
