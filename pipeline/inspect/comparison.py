"""Comparison: what differs between two results, by topic, as a table that can be shown in any form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from pipeline.inspect import software
from pipeline.inspect.difference import NOTHING, Difference, differences, json_differences
from pipeline.kernel import boot_files
from pipeline.readers import Listing, Node
from pipeline.readers.view import View, first_unequal, sha256

DIFFERENCES = 20
"""Differences in the formats' own terms that are shown; the topics below them are complete."""
SUM = 16
"""Hexadecimal digits of a sum that are shown."""


class Change(NamedTuple):
    """One thing that differs, and its two values as text."""

    what: str
    left: str
    right: str


class Side(NamedTuple):
    """One of two results, as far as it is known.

    name: as it was asked for. files: name -> whole output files. stages: name -> digest of its result, in order.
    root: the root file system. boot: what lies beside it (kernel, command line, boot loader). config: of the kernel.
    packages: where and name -> version.
    """

    name: str
    files: Mapping[str, View]
    stages: Mapping[str, str]
    root: Listing
    boot: Mapping[str, Node]
    config: str
    packages: Mapping[str, str]


class Comparison(NamedTuple):
    left: str
    right: str
    topics: Mapping[str, tuple[Change, ...]]

    @property
    def equal(self) -> bool:
        return not any(self.topics.values())


def compare(left: Side, right: Side, explained: tuple[Difference, ...] = ()) -> Comparison:
    """Everything that is known to differ. explained: differences that were found before, inside stages say."""
    topics: dict[str, Callable[[Side, Side], Iterator[Change]]] = {
        "outputs": _outputs, "stages": _stages, "packages": _packages, "kernel": _kernel,
        "containers": _containers, "files": _files, "sizes": _sizes,
    }  # fmt: skip
    first = [*explained, *islice(_differences(left, right), DIFFERENCES)]
    found = {"first differences": tuple(Change(each.way, each.left, each.right) for each in first)}
    found |= {name: tuple(topic(left, right)) for name, topic in topics.items()}
    return Comparison(left.name, right.name, found)


def changes(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Change]:
    """What two mappings do not have in common, by name."""
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            yield Change(name, left.get(name, NOTHING), right.get(name, NOTHING))


def _paired(left: Side, right: Side) -> Iterator[tuple[str, View | None, View | None]]:
    """Output files by name; two single files belong together whatever they are called."""
    if len(left.files) == len(right.files) == 1:
        (name, ours), (_, theirs) = *left.files.items(), *right.files.items()
        yield name, ours, theirs
        return
    for name in [*left.files, *(name for name in right.files if name not in left.files)]:
        yield name, left.files.get(name), right.files.get(name)


def _differences(left: Side, right: Side) -> Iterator[Difference]:
    for name, ours, theirs in _paired(left, right):
        if ours is not None and theirs is not None:
            yield from islice(differences(ours, theirs, (name,)), DIFFERENCES // 4)


def _outputs(left: Side, right: Side) -> Iterator[Change]:
    for name, ours, theirs in _paired(left, right):
        if ours is None or theirs is None or first_unequal(ours, theirs) is not None:
            yield Change(name, *(NOTHING if view is None else f"{view.size} bytes" for view in (ours, theirs)))


def _stages(left: Side, right: Side) -> Iterator[Change]:
    for name in [*left.stages, *(name for name in right.stages if name not in left.stages)]:
        if left.stages.get(name) != right.stages.get(name):
            yield Change(name, *(side.stages.get(name, NOTHING)[:19] for side in (left, right)))


def _packages(left: Side, right: Side) -> Iterator[Change]:
    yield from changes(left.packages, right.packages)


def _kernel(left: Side, right: Side) -> Iterator[Change]:
    yield from changes(_said(left.boot), _said(right.boot))
    yield from changes(*(_options(side.config) for side in (left, right)))
    ours, theirs = (boot_files.modules(side.root) for side in (left, right))
    for name in sorted(ours ^ theirs):
        yield Change(f"module {name}", *("there" if name in modules else NOTHING for modules in (ours, theirs)))


def _said(boot: Mapping[str, Node]) -> dict[str, str]:
    """Version and command line of what boots."""
    said = {}
    for path, node in boot.items():
        if node.content is not None and (version := boot_files.version(node.content)):
            said["version"] = version
        if node.content is not None and (line := boot_files.command_line(path, node.content)) is not None:
            said["command line"] = line
    return said


def _options(config: str) -> dict[str, str]:
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", config, re.MULTILINE))


def _containers(left: Side, right: Side) -> Iterator[Change]:
    """What each container's config.json says; containers that only one side has."""
    ours, theirs = (software.containers(side.root) for side in (left, right))
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            yield Change(name, *("there" if name in side else NOTHING for side in (ours, theirs)))
            continue
        for each in json_differences(ours[name], theirs[name], ()):
            yield Change(f"{name} {each.field}", each.left, each.right)


def _files(left: Side, right: Side) -> Iterator[Change]:
    """Paths that only one side has, then fields and contents of the others; only fields that both structures know."""
    for path in sorted(left.root.keys() | right.root.keys()):
        ours, theirs = left.root.get(path), right.root.get(path)
        if ours is None or theirs is None or ours.kind != theirs.kind:
            yield Change(path, _described(ours), _described(theirs))
            continue
        for field in ours.facts:
            if field in theirs.facts and ours.facts[field] != theirs.facts[field]:
                yield Change(f"{path} ({field})", str(ours.facts[field]), str(theirs.facts[field]))
        if ours.content is not None and theirs.content is not None:
            yield from _contents(path, ours.content, theirs.content)


def _contents(path: str, left: View, right: View) -> Iterator[Change]:
    if left.size != right.size:
        yield Change(f"{path} (size)", str(left.size), str(right.size))
    elif first_unequal(left, right) is not None:
        yield Change(f"{path} (content)", *(f"sha256 {sha256(view)[:SUM]}" for view in (left, right)))


def _described(node: Node | None) -> str:
    if node is None:
        return NOTHING
    size = f", {node.content.size} bytes" if node.content is not None else ""
    return f"{node.kind} {node.facts.get('mode', '')}{size}"


def _sizes(left: Side, right: Side) -> Iterator[Change]:
    """Bytes of files by what they belong to: a container, else the topmost folder."""
    sizes = [{name: str(size) for name, size in software.sizes(side.root).items()} for side in (left, right)]
    yield from changes(sizes[0], sizes[1])
