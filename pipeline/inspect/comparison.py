"""Comparison of two results by topic: outputs, stages, packages, kernel, containers, files, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from pipeline.inspect import software
from pipeline.inspect.difference import NOTHING, Difference, differences, json_differences
from pipeline.inspect.report import Report, Table
from pipeline.kernel import boot_files
from pipeline.readers import Listing, Node
from pipeline.readers.view import View, first_unequal, sha256

DIFFERENCES = 20
"""Maximum number of differences in the formats' own terms; the topics are complete."""
DIGITS = 16
"""Number of hexadecimal digits of a sha256 that are shown."""


class Change(NamedTuple):
    """One thing that differs, and its two values as text."""

    what: str
    left: str
    right: str


class Side(NamedTuple):
    """One of two results.

    name: as the user wrote it. files: name -> output file. stages: name -> digest of its result, inputs first.
    root: the root file system. boot: files beside it (kernel, command line, boot loader). config: the kernel's.
    packages: `container: name` -> version. owners: path -> the package, image or recipe that it came from.
    """

    name: str
    files: Mapping[str, View]
    stages: Mapping[str, str]
    root: Listing
    boot: Mapping[str, Node]
    config: str
    packages: Mapping[str, str]
    owners: Mapping[str, str] = {}


class Comparison(NamedTuple):
    """left, right: names. topics: topic -> its changes."""

    left: str
    right: str
    topics: Mapping[str, tuple[Change, ...]]

    @property
    def equal(self) -> bool:
        return not any(self.topics.values())

    def report(self) -> Report:
        """JSON: {"left", "right", "equal", "topics": {topic: [{"what", "left", "right"}]}}."""
        topics = {topic: [change._asdict() for change in changes] for topic, changes in self.topics.items()}
        document = {"left": self.left, "right": self.right, "equal": self.equal, "topics": topics}
        if self.equal:
            return Report(f"{self.left} and {self.right} are equal", (), document)
        columns, line = ("", "before", "after"), "{}: {} | {}"
        unequal = {topic: changes for topic, changes in self.topics.items() if changes}
        tables = [Table(f"{topic} ({len(each)})", columns, each, line=line) for topic, each in unequal.items()]
        counts = ", ".join(f"{len(changes)} {topic}" for topic, changes in unequal.items())
        return Report(f"{self.left} | {self.right}", tables, document, counts)


def compare(left: Side, right: Side, explained: tuple[Difference, ...] = ()) -> Comparison:
    """Compares by every topic. explained: differences that are known already, from comparing stages' results."""
    by_topic: dict[str, Callable[[Side, Side], Iterator[Change]]] = {
        "outputs": _outputs, "stages": _stages, "packages": _packages, "kernel": _kernel,
        "containers": _containers, "files": _files, "sizes": _sizes,
    }  # fmt: skip
    first = [*explained, *islice(_differences(left, right), DIFFERENCES)]
    topics = {"first differences": tuple(Change(each.way, each.left, each.right) for each in first)}
    topics |= {name: tuple(changes_of(left, right)) for name, changes_of in by_topic.items()}
    return Comparison(left.name, right.name, topics)


def changes(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Change]:
    """Yields the names whose values differ between two mappings, sorted."""
    yield from _changes(left, right, sorted(left.keys() | right.keys()))


def _changes(left: Mapping[str, str], right: Mapping[str, str], names: Iterable[str]) -> Iterator[Change]:
    for name in names:
        if left.get(name) != right.get(name):
            yield Change(name, left.get(name, NOTHING), right.get(name, NOTHING))


def _pairs(left: Side, right: Side) -> Iterator[tuple[str, View | None, View | None]]:
    """Yields output files by name; two single files are a pair whatever their names are."""
    if len(left.files) == len(right.files) == 1:
        (name, ours), (_, theirs) = *left.files.items(), *right.files.items()
        yield name, ours, theirs
        return
    for name in dict.fromkeys([*left.files, *right.files]):
        yield name, left.files.get(name), right.files.get(name)


def _differences(left: Side, right: Side) -> Iterator[Difference]:
    for name, ours, theirs in _pairs(left, right):
        if ours is not None and theirs is not None:
            yield from islice(differences(ours, theirs, (name,)), DIFFERENCES // 4)


def _outputs(left: Side, right: Side) -> Iterator[Change]:
    for name, ours, theirs in _pairs(left, right):
        if ours is None or theirs is None or first_unequal(ours, theirs) is not None:
            yield Change(name, *(NOTHING if view is None else f"{view.size} bytes" for view in (ours, theirs)))


def _stages(left: Side, right: Side) -> Iterator[Change]:
    ours, theirs = ({name: digest[:19] for name, digest in side.stages.items()} for side in (left, right))
    return _changes(ours, theirs, dict.fromkeys([*ours, *theirs]))


def _packages(left: Side, right: Side) -> Iterator[Change]:
    return changes(left.packages, right.packages)


def _kernel(left: Side, right: Side) -> Iterator[Change]:
    yield from changes(_boot_description(left.boot), _boot_description(right.boot))
    yield from changes(_options(left.config), _options(right.config))
    yield from changes(_modules(left.root), _modules(right.root))


def _boot_description(boot: Mapping[str, Node]) -> dict[str, str]:
    """The kernel's version and command line."""
    description = {}
    for path, node in boot.items():
        if node.content is not None and (version := boot_files.version(node.content)):
            description["version"] = version
        if node.content is not None and (line := boot_files.command_line(path, node.content)) is not None:
            description["command line"] = line
    return description


def _modules(root: Listing) -> dict[str, str]:
    return {f"module {name}": "there" for name in boot_files.modules(root)}


def _options(config: str) -> dict[str, str]:
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", config, re.MULTILINE))


def _containers(left: Side, right: Side) -> Iterator[Change]:
    """Yields containers that only one side has, and changes of the others' config.json."""
    ours, theirs = (software.containers(side.root) for side in (left, right))
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            yield Change(name, *("there" if name in side else NOTHING for side in (ours, theirs)))
            continue
        for each in json_differences(ours[name], theirs[name]):
            yield Change(f"{name} {each.field}", each.left, each.right)


def _files(left: Side, right: Side) -> Iterator[Change]:
    """Yields paths that only one side has, and changed fields and contents of the others, each with its owner.

    A field that only one of the two structures has is not compared.
    """
    for path in sorted(left.root.keys() | right.root.keys()):
        owner = right.owners.get(path) or left.owners.get(path)
        for change in _file(path, left, right):
            yield change._replace(what=f"{change.what} [{owner}]") if owner else change


def _file(path: str, left: Side, right: Side) -> Iterator[Change]:
    """Yields the changes of a path."""
    ours, theirs = left.root.get(path), right.root.get(path)
    if ours is None or theirs is None or ours.kind != theirs.kind:
        yield Change(path, _description(ours), _description(theirs))
        return
    for field in ours.properties:
        if field in theirs.properties and ours.properties[field] != theirs.properties[field]:
            yield Change(f"{path} ({field})", str(ours.properties[field]), str(theirs.properties[field]))
    if ours.content is not None and theirs.content is not None:
        yield from _contents(path, ours.content, theirs.content)


def _contents(path: str, left: View, right: View) -> Iterator[Change]:
    if left.size != right.size:
        yield Change(f"{path} (size)", str(left.size), str(right.size))
    elif first_unequal(left, right) is not None:
        yield Change(f"{path} (content)", *(f"sha256 {sha256(view)[:DIGITS]}" for view in (left, right)))


def _description(node: Node | None) -> str:
    if node is None:
        return NOTHING
    size = f", {node.content.size} bytes" if node.content is not None else ""
    return f"{node.kind} {node.properties.get('mode', '')}{size}"


def _sizes(left: Side, right: Side) -> Iterator[Change]:
    """Yields changed sums of bytes by owner: a container, else the topmost folder."""
    ours, theirs = ({name: str(size) for name, size in software.sizes(side.root).items()} for side in (left, right))
    return changes(ours, theirs)
