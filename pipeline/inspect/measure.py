"""Sizes: what each byte of a node is for: by part, image, package and file, unpacked and compressed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.engine.action import Action, closure
from pipeline.inspect.listings import of_content
from pipeline.model.tree import Content
from pipeline.planning.plan import Plan
from pipeline.readers.view import sha256
from pipeline.store import Store

UNPACKED = "pipeline.recipe.deb"
"""The module of the stage whose trees have a folder for every package."""
BOOT = "boot"
"""What the boot loader loads is told apart: it lies beside the initrd, not in its fragments."""
INSIDE = ("lower/", "rootfs/")
"""Where a container's files are, in its folder."""


class Measured(NamedTuple):
    """A file of the node. package: the one that it came in, "" where that is not known."""

    part: str
    image: str
    package: str
    path: str
    size: int


class Duplicate(NamedTuple):
    """Equal files of several parts, as (part, path)."""

    places: tuple[tuple[str, str], ...]
    size: int

    @property
    def saving(self) -> int:
        """Bytes that would not be needed if there were one of them."""
        return self.size * (len(self.places) - 1)


class Sizes(NamedTuple):
    """files: the root file system's. compressed: part -> bytes of its fragment of the initrd, if it has one."""

    files: tuple[Measured, ...]
    compressed: Mapping[str, int]
    duplicates: tuple[Duplicate, ...]

    def by(self, name: Callable[[Measured], str]) -> dict[str, int]:
        """Bytes by what `name` says of each file, the largest first."""
        sums: dict[str, int] = {}
        for file in self.files:
            sums[name(file)] = sums.get(name(file), 0) + file.size
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def measure(store: Store, made: Plan) -> Sizes:
    """Measure what `made` comes to. Parts, and their fragments, are built if they are not there."""
    parts = made.products.rootfs.inputs
    trees = {part.name: store.tree(part.perform(store)[0]) for part in parts}
    owner: dict[str, str] = {path: part for part, tree in trees.items() for path in tree}
    packages = _packages(store, parts)
    files, contents = [], []
    for part in parts:
        image = ", ".join(each.name.removeprefix("unpack/") for each in part.inputs if each.name.startswith("unpack/"))
        for path, file in trees[part.name].files().items():
            if owner[path] == part.name and file.inode in ("", path):
                package = packages.get((_inside(path), file.size), "")
                name = BOOT if path.startswith(f"{BOOT}/") else part.name
                files.append(Measured(name, image, package, path, file.size))
                contents.append((part.name, path, file.content))
    return Sizes(tuple(files), _compressed(store, made), tuple(_duplicates(store, contents)))


def _inside(path: str) -> str:
    """A path as its package has it: without the container's folder around it."""
    words = path.split("/", 3)
    inside = words[3] if words[0] == "containers" and len(words) == 4 else path
    return next((inside.removeprefix(each) for each in INSIDE if inside.startswith(each)), inside)


def _packages(store: Store, parts: Iterable[Action]) -> dict[tuple[str, int], str]:
    """Path and size of a packaged file -> its package, as far as the store has the unpacked packages."""
    found: dict[tuple[str, int], str] = {}
    for action in closure(*parts):
        result = store.recall(action.key) if action.stage.__module__ == UNPACKED else None
        for path, file in store.tree(result).files().items() if result else ():
            package, _, inside = path.partition("/")
            found[inside, file.size] = package
            found.setdefault((f"usr/{inside}", file.size), package)  # images have /lib and /bin in /usr
    return found


def _compressed(store: Store, made: Plan) -> dict[str, int]:
    """Component -> bytes of its fragments."""
    sizes: dict[str, int] = {}
    for action in made.products.initrd.inputs:
        if action.name.startswith("fragment/"):
            fragment = store.tree(action.perform(store)[0]).file("fragment")
            part = action.name.removeprefix("fragment/").removesuffix("/frame").removesuffix("/image")
            sizes[part] = sizes.get(part, 0) + fragment.size
    return sizes


def _duplicates(store: Store, contents: Iterable[tuple[str, str, Content]]) -> Iterator[Duplicate]:
    """Equal files that stand in more than one part, the largest saving first. Only files of equal size are read."""
    by_size: dict[int, list[tuple[str, str, Content]]] = {}
    for each in contents:
        by_size.setdefault(sum(piece.length for piece in each[2]), []).append(each)
    found = []
    for size, group in by_size.items():
        if size and len({part for part, _, _ in group}) > 1:
            by_sum: dict[Any, list[tuple[str, str]]] = {}
            for part, path, content in group:
                by_sum.setdefault(_sum(store, content), []).append((part, path))
            equal = [pairs for pairs in by_sum.values() if len({part for part, _ in pairs}) > 1]
            found += [Duplicate(tuple(pairs), size) for pairs in equal]
    yield from sorted(found, key=lambda each: (-each.saving, each.places))


def _sum(store: Store, content: Content) -> str:
    return sha256(of_content(store, content))
