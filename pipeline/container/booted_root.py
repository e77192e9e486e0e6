"""Booted: what of a node's root is still there once its init has run, and what that and the containers make there.

Source: images/init/rc.init; LinuxKit's init (pkg/init) mounts and makes the same. A test reads rc.init for it.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.model.tree import Content, Directory, Entry, File, Symlink, Tree, parents

HIDDEN: Mapping[str, str] = {
    "dev": "devtmpfs is mounted on /dev",
    "proc": "proc is mounted on /proc",
    "run": "an empty tmpfs is mounted on /run",
    "sys": "sysfs is mounted on /sys",
    "tmp": "an empty tmpfs is mounted on /tmp",
    "var": "an empty tmpfs is mounted on /var",
    "boot": "formats that boot leave out what is below /boot",
}
"""Directories whose contents a booted node does not have from its root, and why."""
INIT_PATHS = (
    "dev/pts", "dev/shm", "dev/mqueue", "run/config", "run/containerd", "run/lock", "run/log/onboot", "run/nodekiln",
    "run/resolvconf/resolv.conf", "var/cache", "var/empty", "var/lib/containerd", "var/local", "var/lock",
    "var/log/onboot", "var/opt", "var/run", "var/spool", "var/tmp",
)  # fmt: skip
"""What init and containerd make below them."""
UNKNOWN = (
    "containers/volumes", "dev", "proc", "run/containerd", "run/nodekiln", "sys", "var/lib/containerd", "var/log",
)  # fmt: skip
"""Directories that the kernel, init and containerd fill: whatever is named below them may be there."""
LINKS_LIMIT = 40
"""Symlinks followed on one path, as Linux has it."""
_INIT_PATHS = frozenset({*INIT_PATHS, *(above for path in INIT_PATHS for above in parents(path))})


def hidden_reason(path: str, is_directory: bool) -> str:
    """Says why a node that has booted has nothing at `path`, where its root has an entry; "" if it has."""
    top = path.partition("/")[0]
    if is_directory and (path == top or path in _INIT_PATHS):
        return ""
    return HIDDEN.get(top, "")


class Bundle(NamedTuple):
    """A container's folder in the root, and its documents."""

    prefix: str
    config: Mapping[str, Any]
    runtime: Mapping[str, Any]


def bundle(prefix: str, root: Tree, read: Callable[[Content], bytes]) -> Bundle:
    """The bundle at `prefix` of `root`; `read` gives a file's bytes."""
    files = (root.file(f"{prefix}/{name}.json") for name in ("config", "runtime"))
    return Bundle(prefix, *(json.loads(read(file.content)) for file in files))


def binds_without_source(root: Mapping[str, Entry], bundles: list[Bundle]) -> Iterator[tuple[Bundle, str, str]]:
    """Each bind of the containers whose source nothing makes, as (bundle, source, destination).

    root: the node's root. A source is there if the root has it, if init makes it or a container's `runtime`, or if it
    lies below something that another container may write to, or that is mounted.
    """
    node = _kept(root)
    for path in (path for bundle in bundles for path in _made(bundle.runtime)):
        node.update(_folders(path))
    for bundle in bundles:
        filled = [*UNKNOWN, *(place for other in bundles for place in _filled(other, other is bundle))]
        for mount in bundle.config["mounts"]:
            source = mount.get("source", "")
            if mount.get("type") != "bind" or not source.startswith("/"):
                continue
            place = reached(node, source)
            if place and place not in node and not any(_below(place, each) for each in filled):
                yield bundle, source, mount["destination"]


def reached(tree: Mapping[str, Entry], path: str) -> str:
    """`path`, relative to the root of `tree`, after its symlinks: also where nothing is there. "" is the root."""
    pending, at, links = [*reversed(path.split("/"))], "", 0
    while pending:
        step = pending.pop()
        if step in ("", "."):
            continue
        if step == "..":
            at = posixpath.dirname(at)
            continue
        place = f"{at}/{step}" if at else step
        entry = tree.get(place)
        if type(entry) is Symlink and links < LINKS_LIMIT:
            links += 1
            at = "" if entry.target.startswith("/") else at
            pending += reversed(entry.target.split("/"))
        else:
            at = place
    return at


def _kept(root: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of `root` that a booted node has, and those that init makes."""
    node = {path: entry for path, entry in root.items() if not hidden_reason(path, type(entry) is Directory)}
    node |= {path: Directory(0o755, 0, 0, 0) for path in (*HIDDEN, *_INIT_PATHS)}
    node |= {"var/run": _link("/run"), "var/lock": _link("/run/lock"), "var/log/onboot": _link("/run/log/onboot")}
    resolver = node.get("etc/resolv.conf")
    if type(resolver) is Symlink:  # init makes what it leads to
        node[reached(node, "etc/resolv.conf")] = File(0o644, 0, 0, 0)
    return node


def _link(target: str) -> Symlink:
    return Symlink(0o777, 0, 0, 0, (), target)


def _made(runtime: Mapping[str, Any]) -> Iterator[str]:
    """The directories that are made on the node for a container before it starts."""
    paths = [*runtime.get("mkdir", ()), *(mount["destination"] for mount in runtime.get("mounts", ()))]
    return (path.strip("/") for path in paths if path.startswith("/"))


def _folders(path: str) -> dict[str, Entry]:
    return {each: Directory(0o755, 0, 0, 0) for each in (path, *parents(path))}


def _filled(bundle: Bundle, own: bool) -> Iterator[str]:
    """Directories below which something may be that the spec does not name: what is mounted for the container, and
    (unless it is its `own`) what it has from the node and may write to."""
    root = f"/{bundle.prefix}/"
    for mount in bundle.runtime.get("mounts", ()):
        if mount["destination"].startswith("/") and not mount["destination"].startswith(root):
            yield mount["destination"].strip("/")
    for mount in () if own else bundle.config["mounts"]:
        if mount.get("type") == "bind" and "ro" not in mount.get("options", ()):
            yield mount.get("source", "").strip("/")


def _below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
