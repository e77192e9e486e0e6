"""Measurement: bytes of a node by component, image, package and file, unpacked and compressed; equal files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline.engine.action import Action, closure
from pipeline.inspect import treemap
from pipeline.inspect.listings import of_content
from pipeline.inspect.report import Report, Table
from pipeline.model import size as sizes
from pipeline.model.tree import Content, length
from pipeline.planning.plan import Plan
from pipeline.readers.view import sha256
from pipeline.store import Store

UNPACKED = "pipeline.recipe.deb"
"""The module of the stage whose trees have a folder for every package."""
BOOT = "boot"
"""The component of the boot loader's files: they lie beside the initrd, not in its fragments."""
INSIDE = ("lower/", "rootfs/")
"""Folders of a container that hold its files."""


class MeasuredFile(NamedTuple):
    """A file of the node. part: its component. package: "" where it is unknown."""

    part: str
    image: str
    package: str
    path: str
    size: int


class Duplicate(NamedTuple):
    """Equal files of several components, as (component, path). size: bytes of one."""

    places: tuple[tuple[str, str], ...]
    size: int

    @property
    def saving(self) -> int:
        """Bytes that a single file would save."""
        return self.size * (len(self.places) - 1)


class Sizes(NamedTuple):
    """files: the root file system's. compressed: component -> bytes of its fragments of the initrd, if it has one."""

    files: tuple[MeasuredFile, ...]
    compressed: Mapping[str, int]
    duplicates: tuple[Duplicate, ...]

    def by(self, owner: Callable[[MeasuredFile], str]) -> dict[str, int]:
        """Owner -> bytes of its files, the largest first."""
        return sizes.by_owner((owner(file), file.size) for file in self.files)

    def report(self, title: str, most: int) -> Report:
        """JSON: {"files", "compressed", "duplicates"}. most: rows of a table, but for that of components."""
        document = {
            "files": [file._asdict() for file in self.files],
            "compressed": self.compressed,
            "duplicates": [each._asdict() | {"saving": each.saving} for each in self.duplicates],
        }
        groups: dict[str, list[tuple[str, int]]] = {part: [] for part in self.by(lambda file: file.part)}
        for file in self.files:
            groups[file.part].append((file.path, file.size))
        limited = [table.first(most) for table in (self._packages(), self._files(), self._duplicates())]
        return Report(title, [self._parts(), *limited], document, figure=treemap.figure(list(groups.items())))

    def _parts(self) -> Table:
        images = {file.part: file.image for file in self.files}
        rows: list[tuple[object, ...]] = []
        for part, size in self.by(lambda file: file.part).items():
            compressed = self.compressed.get(part)
            share = f"{compressed / size:.0%}" if compressed is not None and size else ""
            count = sum(file.part == part for file in self.files)
            rows.append((part, images[part], count, size, compressed or "", share))
        total = sum(file.size for file in self.files)
        rows.append(("all", "", len(self.files), total, sum(self.compressed.values()), ""))
        return Table("parts", ("part", "image", "files", "bytes", "compressed", ""), rows)

    def _packages(self) -> Table:
        packages = self.by(lambda file: file.package or "(no package)")
        return Table("packages", ("package", "bytes"), list(packages.items()))

    def _files(self) -> Table:
        files = sorted(self.files, key=lambda file: (-file.size, file.path))
        return Table("files", ("path", "package", "bytes"), [(file.path, file.package, file.size) for file in files])

    def _duplicates(self) -> Table:
        rows = [
            (
                each.places[0][1].rpartition("/")[2], ", ".join(dict.fromkeys(part for part, _ in each.places)),
                each.size, each.saving,
            )
            for each in self.duplicates
        ]  # fmt: skip
        title = f"equal files in several parts: {sum(each.saving for each in self.duplicates):,} bytes"
        return Table(title, ("file", "in", "bytes", "saving"), rows)


def measure(store: Store, plan: Plan) -> Sizes:
    """Measures the node of `plan`. Components, and their fragments, are built if they are not there."""
    parts = plan.products.rootfs.inputs
    trees = {part.name: store.tree(part.perform(store)[0]) for part in parts}
    owners: dict[str, str] = {path: part for part, tree in trees.items() for path in tree}
    packages = _packages(store, parts)
    files, contents = [], []
    for part in parts:
        image = ", ".join(each.name.removeprefix("unpack/") for each in part.inputs if each.name.startswith("unpack/"))
        for path, file in trees[part.name].unique_files().items():
            if owners[path] == part.name:
                package = packages.get((_path_in_package(path), file.size), "")
                name = BOOT if path.startswith(f"{BOOT}/") else part.name
                files.append(MeasuredFile(name, image, package, path, file.size))
                contents.append((part.name, path, file.content))
    return Sizes(tuple(files), _compressed(store, plan), tuple(duplicates(store, contents)))


def _path_in_package(path: str) -> str:
    """`path` without the folder of its container."""
    words = path.split("/", 3)
    inside = words[3] if words[0] == "containers" and len(words) == 4 else path
    return next((inside.removeprefix(each) for each in INSIDE if inside.startswith(each)), inside)


def _packages(store: Store, parts: Iterable[Action]) -> dict[tuple[str, int], str]:
    """Path and size of a file -> its package, for the unpacked packages that the store has."""
    packages: dict[tuple[str, int], str] = {}
    for action in closure(*parts):
        result = store.recall(action.key) if action.stage.__module__ == UNPACKED else None
        for path, file in store.tree(result).files().items() if result else ():
            package, _, inside = path.partition("/")
            packages[inside, file.size] = package
            packages.setdefault((f"usr/{inside}", file.size), package)  # images have /lib and /bin in /usr
    return packages


def _compressed(store: Store, plan: Plan) -> dict[str, int]:
    """Component -> bytes of its fragments."""
    fragments = [action for action in plan.products.initrd.inputs if action.name.startswith("fragment/")]
    return sizes.by_owner(
        (
            action.name.removeprefix("fragment/").removesuffix("/frame").removesuffix("/image"),
            store.tree(action.perform(store)[0]).file("fragment").size,
        )
        for action in fragments
    )


def duplicates(store: Store, contents: Iterable[tuple[str, str, Content]]) -> Iterator[Duplicate]:
    """Yields equal files that are in more than one component, the largest saving first. Reads files of equal size only.

    contents: component, path and content of each file.
    """
    by_size: dict[int, list[tuple[str, str, Content]]] = {}
    for each in contents:
        by_size.setdefault(length(each[2]), []).append(each)
    equal = []
    for size, group in by_size.items():
        if size and _is_shared(part for part, _, _ in group):
            by_sum: dict[str, list[tuple[str, str]]] = {}
            for part, path, content in group:
                by_sum.setdefault(sha256(of_content(store, content)), []).append((part, path))
            equal += [
                Duplicate(tuple(places), size) for places in by_sum.values() if _is_shared(part for part, _ in places)
            ]
    yield from sorted(equal, key=lambda each: (-each.saving, each.places))


def _is_shared(parts: Iterable[str]) -> bool:
    return len(set(parts)) > 1
