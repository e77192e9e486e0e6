"""Files of a spec that no program reads, because they are outside the container of the program that would.

A container has its image's files and its binds. Two kinds of files are checked: those of ssh (an sshd is a container,
and its /root is not the node's), and files that a container's command or environment names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.container import booted_root
from pipeline.container.names import relative
from pipeline.engine.action import with_results
from pipeline.language.problem import Problem
from pipeline.model.tree import Tree
from pipeline.spec.components import Component
from pipeline.spec.spec import Spec
from pipeline.store import Store

SERVERS = ("sshd", "dropbear")
"""Programs that read keys of the node itself if they run outside containers."""


class ContainerView(NamedTuple):
    """The parts of a container that decide which of the node's files its program has."""

    name: str
    roots: tuple[str, ...]
    """Folders that its root may lie in, for paths of its image. A shared image lies in the first container's."""
    binds: tuple[str, ...]
    """Absolute paths on the node."""
    words: tuple[str, ...]
    """The command's words, and the values of the environment."""


def unread_files(store: Store, spec: Spec, components: Sequence[Component]) -> list[Problem]:
    """Returns a warning for each file of the spec that is for a container without it.

    components: those of the spec; their trees are made if need be. Raises StageProblem if a stage of them fails.
    """
    files = [(index, f"/{relative(each.path)}") for index, each in enumerate(spec["files"]) if not each.directory]
    if not files:
        return []
    trees = [(each, with_results(store, (each.tree,), store.tree)) for each in components if each.name != "files"]
    containers = [_view(store, each, tree) for each, tree in trees if f"{each.prefix}/config.json" in tree]
    inside = {path for _, tree in trees for root in _roots(containers) for _, path in files if root + path in tree}
    on_node = any(path.rpartition("/")[2] in SERVERS for each, tree in trees if not each.prefix for path in tree)
    return [
        Problem(spec.where(("files", index, "path")), message, hint)
        for index, path in files
        for message, hint in (*_named(path, inside, containers), *(() if on_node else _for_ssh(path, containers)))
    ]


def _named(path: str, inside: set[str], containers: Sequence[ContainerView]) -> Iterator[tuple[str, str]]:
    """Yields a message and a hint for each container that names `path` and has no such file."""
    folder = path.rpartition("/")[0]
    for each in containers if path not in inside else ():
        if not _binds(each, path) and any(word == path or word.endswith(f"={path}") for word in each.words):
            yield f"{each.name} names {path!r} and does not see it", f'there: binds.add: ["{folder}:{folder}:ro"]'


def _for_ssh(path: str, containers: Sequence[ContainerView]) -> Iterator[tuple[str, str]]:
    """Yields a message and a hint if `path` is ssh's and no container binds it."""
    is_ssh = path.startswith("/etc/ssh/") or "/.ssh/" in path or path.endswith("/authorized_keys")
    if is_ssh and not any(_binds(each, path) for each in containers):
        yield f"no container sees {path!r}", "binds.add brings it in; the sshd of images/ reads etc/ssh/authorized_keys"


def _binds(container: ContainerView, path: str) -> bool:
    return any(path == source or path.startswith(source.rstrip("/") + "/") for source in container.binds)


def _roots(containers: Sequence[ContainerView]) -> Iterator[str]:
    for each in containers:
        yield from each.roots


def _view(store: Store, component: Component, tree: Tree) -> ContainerView:
    config = booted_root.bundle(component.prefix, tree, store.bytes).config
    binds = tuple(each["source"] for each in config.get("mounts") or () if each.get("type") == "bind")
    process = config.get("process") or {}
    words = (*(process.get("args") or ()), *(each.partition("=")[2] for each in process.get("env") or ()))
    roots = tuple(f"{component.prefix}/{folder}" for folder in ("rootfs", "lower"))
    return ContainerView(component.name, roots, binds, words)
