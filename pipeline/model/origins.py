"""Ownership: the one origin of each path of a tree, and the functions that combine it as trees are combined.

An origin is known by construction: whatever writes an entry into a tree records the origin of the entry beside it. So
there is an origin for each path, directories and symlinks included, and the last to write a path owns it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from pipeline.model.digest import canonical_json
from pipeline.model.tree import Entry, File

Kind = Literal["deb", "apk", "image", "recipe", "files", "made", "listed"]


class Origin(NamedTuple):
    """The origin of an entry. Fields that a kind does not have are empty.

    deb, apk: a package. image: a layer of an image. recipe: a recipe's own file. files: an entry of the spec's `files`.
    made: nodekiln itself. listed: a package that only a bill of materials of its image names, and that owns no path.
    """

    kind: Kind
    name: str = ""
    """Name of the package, image reference, name of the recipe or of the spec."""
    version: str = ""
    """Version of the package; the tag of a recipe."""
    architecture: str = ""
    """Architecture of the package."""
    digest: str = ""
    """Digest of the .deb, if that is known."""
    layer: str = ""
    """Digest of the layer of an image."""
    within: str = ""
    """Recipe or image reference that the package came by."""
    distribution: str = ""
    """ID of the package's distribution: `debian`, `alpine` (os-release(5))."""
    release: str = ""
    """Codename or version of its release."""
    source: str = ""
    """Name of its source package."""
    source_version: str = ""
    """Version of its source package."""
    licenses: tuple[str, ...] = ()
    """Short names of its licences, sorted; () if they are unknown."""
    url: str = ""
    """Package URL, of a package that a bill of materials names."""


MADE = Origin("made")
Origins = dict[str, Origin]
"""path -> origin."""


def laid(lower: Mapping[str, Origin], *uppers: Mapping[str, Origin]) -> Origins:
    """Returns the origins of trees that are laid over each other; the upper one wins."""
    result = dict(lower)
    for upper in uppers:
        result.update(upper)
    return result


def of_tree(tree: Mapping[str, Entry], known: Mapping[str, Origin], default: Origin = MADE) -> Origins:
    """Returns the origin of each path of `tree`: the known one, else `default`."""
    return {path: known.get(path, default) for path in tree}


def inherited(
    tree: Mapping[str, Entry],
    image: Mapping[str, Entry],
    origins: Mapping[str, Origin],
    place: Callable[[str], str | None],
    default: Origin = MADE,
) -> Origins:
    """Returns the origins of `tree`, made of `image`, whose `origins` are known.

    place: path in `tree` -> path in `image`, None for none. An entry that is not the image's own has the origin
    `default`.
    """
    result = {}
    for path, entry in tree.items():
        there = place(path)
        same = there is not None and is_same(entry, image.get(there))
        result[path] = origins.get(there, default) if same and there is not None else default
    return result


def is_same(entry: Entry, other: Entry | None) -> bool:
    """Returns whether two entries are equal but for the names of their hard links."""
    if type(entry) is File and type(other) is File:
        return entry._replace(inode="") == other._replace(inode="")
    return type(entry) is type(other) and entry == other


def of_layers(tree: Mapping[str, Entry], layers: Iterable[tuple[Origin, Mapping[str, Entry]]]) -> Origins:
    """Returns the origins of `tree`, the result of `layers` (origin and entries of each, the lowest first).

    A path belongs to the last layer whose entry it has. A directory with the entry of none, because it is only implied,
    belongs to the first layer that has it.
    """
    result: Origins = {}
    for origin, entries in layers:
        for path, entry in entries.items():
            if path in tree and (path not in result or is_same(entry, tree[path])):
                result[path] = origin
    return of_tree(tree, result)


def dump(origins: Mapping[str, Origin]) -> bytes:
    """Returns `origins` as canonical JSON: each origin once, without empty fields, and the number of each path's."""
    number = {origin: at for at, origin in enumerate(sorted(set(origins.values())))}
    documents = [{key: value for key, value in each._asdict().items() if value} for each in number]
    return canonical_json({"origins": documents, "paths": {path: number[each] for path, each in origins.items()}})


def load(data: bytes) -> Origins:
    """Returns the origins that `dump` wrote."""
    document = json.loads(data)
    known = [_origin(each) for each in document["origins"]]
    return {path: known[number] for path, number in document["paths"].items()}


def _origin(document: dict[str, Any]) -> Origin:
    return Origin(**document | {"licenses": tuple(document.get("licenses", ()))})
