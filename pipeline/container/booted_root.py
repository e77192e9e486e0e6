"""The root file system of a booted node: paths hidden by mounts, and paths that init and containers create.

Source: images/init/rc.init; LinuxKit's init (pkg/init) mounts and creates the same. A test compares with rc.init.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.model.path_resolution import resolve
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
"""Directory whose contents in the root are hidden after boot -> the reason."""
MOUNTS: Mapping[str, str] = {
    "dev": "devtmpfs", "dev/mqueue": "mqueue", "dev/pts": "devpts", "dev/shm": "tmpfs", "proc": "proc", "run": "tmpfs",
    "sys": "sysfs", "sys/firmware/efi/efivars": "efivarfs", "sys/fs/bpf": "bpf", "sys/fs/cgroup": "cgroup2",
    "sys/fs/fuse/connections": "fusectl", "sys/fs/pstore": "pstore", "sys/fs/selinux": "selinuxfs",
    "sys/kernel/config": "configfs", "sys/kernel/debug": "debugfs", "sys/kernel/security": "securityfs",
    "tmp": "tmpfs", "var": "tmpfs",
}  # fmt: skip
"""Mount point -> file system, of all that init mounts."""
INIT_PATHS = (
    "dev/pts", "dev/shm", "dev/mqueue", "run/config", "run/containerd", "run/lock", "run/log/onboot", "run/nodekiln",
    "run/resolvconf/resolv.conf", "var/cache", "var/empty", "var/lib/containerd", "var/local", "var/lock",
    "var/log/onboot", "var/opt", "var/run", "var/spool", "var/tmp",
)  # fmt: skip
"""Paths below HIDDEN that init and containerd create."""
FILLED = (
    "containers/volumes", "dev", "proc", "run/containerd", "run/nodekiln", "sys", "var/lib/containerd", "var/log",
)  # fmt: skip
"""Directories that the kernel, init and containerd fill: any path below them may exist."""
_INIT_PATHS = frozenset({*INIT_PATHS, *(parent for path in INIT_PATHS for parent in parents(path))})


def hidden_reason(path: str, is_directory: bool) -> str:
    """Returns the reason why a booted node has no `path` although its root has; "" if it has one."""
    top = path.partition("/")[0]
    if is_directory and (path == top or path in _INIT_PATHS):
        return ""
    return HIDDEN.get(top, "")


class Bundle(NamedTuple):
    """An OCI bundle in the root: its folder and its documents."""

    prefix: str
    config: Mapping[str, Any]
    runtime: Mapping[str, Any]


def bundle(prefix: str, root: Tree, read: Callable[[Content], bytes]) -> Bundle:
    """Returns the bundle at `prefix` of `root`; `read` returns a file's bytes."""
    files = (root.file(f"{prefix}/{name}.json") for name in ("config", "runtime"))
    return Bundle(prefix, *(json.loads(read(file.content)) for file in files))


def binds_without_source(root: Mapping[str, Entry], bundles: list[Bundle]) -> Iterator[tuple[Bundle, str, str]]:
    """Yields (bundle, source, destination) of every bind whose source does not exist after boot.

    root: the node's root. A source exists if the root has it, if init or the `runtime` of a container creates it, or if
    it is below a mount or below a directory that another container may write to.
    """
    node = _after_init(root)
    for created in (path for bundle in bundles for path in _created(bundle.runtime)):
        node.update({path: Directory(0o755, 0, 0, 0) for path in (created, *parents(created))})
    for bundle in bundles:
        filled = [*FILLED, *(path for other in bundles for path in _filled(other, other is bundle))]
        for mount in bundle.config["mounts"]:
            source = mount.get("source", "")
            if mount.get("type") != "bind" or not source.startswith("/"):
                continue
            path = resolve(node, source, may_be_missing=True)
            if path and path not in node and not any(_is_below(path, folder) for folder in filled):
                yield bundle, source, mount["destination"]


def _after_init(root: Mapping[str, Entry]) -> dict[str, Entry]:
    """Returns the entries of `root` that a booted node has, and those that init creates."""
    node = {path: entry for path, entry in root.items() if not hidden_reason(path, type(entry) is Directory)}
    node |= {path: Directory(0o755, 0, 0, 0) for path in (*HIDDEN, *_INIT_PATHS)}
    node |= {"var/run": _link("/run"), "var/lock": _link("/run/lock"), "var/log/onboot": _link("/run/log/onboot")}
    if type(node.get("etc/resolv.conf")) is Symlink:  # init creates its target
        node[resolve(node, "etc/resolv.conf", may_be_missing=True) or ""] = File(0o644, 0, 0, 0)
    if resolve(node, "etc/machine-id", may_be_missing=True) == "run/machine-id":  # and so is this one's
        node["run/machine-id"] = File(0o444, 0, 0, 0)
    return node


def _link(target: str) -> Symlink:
    return Symlink(0o777, 0, 0, 0, (), target)


def _created(runtime: Mapping[str, Any]) -> Iterator[str]:
    """Yields the directories that are created on the node before a container starts."""
    paths = [*runtime.get("mkdir", ()), *(mount["destination"] for mount in runtime.get("mounts", ()))]
    return (path.strip("/") for path in paths if path.startswith("/"))


def _filled(bundle: Bundle, own: bool) -> Iterator[str]:
    """Yields directories with contents that the spec does not name: the mounts of `runtime`, and, unless the container
    is asked about its `own` binds, the directories of the node that it may write to."""
    root = f"/{bundle.prefix}/"
    for mount in bundle.runtime.get("mounts", ()):
        if mount["destination"].startswith("/") and not mount["destination"].startswith(root):
            yield mount["destination"].strip("/")
    for mount in () if own else bundle.config["mounts"]:
        if mount.get("type") == "bind" and "ro" not in mount.get("options", ()):
            yield mount.get("source", "").strip("/")


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
