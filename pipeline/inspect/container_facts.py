"""Facts of a container's security, out of its documents (OCI runtime specification) and its files.

A fact is a tuple of words; () if the container has none of it. None is unknown: what only a running program decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.container.sandbox import FILE_CAPABILITIES, SET_ID
from pipeline.model.tree import File, Tree

Words = tuple[str, ...]
Facts = Mapping[str, Words | None]
Json = Mapping[str, Any]

_RISKY = """
AUDIT_CONTROL BPF CHECKPOINT_RESTORE DAC_READ_SEARCH LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_RAW
PERFMON SETFCAP SYSLOG SYS_ADMIN SYS_BOOT SYS_MODULE SYS_PTRACE SYS_RAWIO SYS_TIME
"""
RISKY = frozenset(f"CAP_{name}" for name in _RISKY.split())
"""Capabilities that reach beyond the container: the kernel, its devices, its log, the network, other processes."""
NAMESPACES = {"net": "network", "pid": "pid", "ipc": "ipc", "uts": "uts", "userns": "user"}
"""Key of the spec -> type of the namespace in config.json."""
HOST, NEW = "host", "new"
"""Words for a namespace: the node's own, and one of the container's own."""
SHARED = frozenset({"shared", "rshared"})
"""Mount options by which mounts of the container reach the node."""
ALLOWING = "SCMP_ACT_ALLOW"
PIDS, MEMORY = "4096", "auto"
"""Limits that the supervisor of images/init gives a service which has none (lua/policy.lua; a test compares)."""

KEYS: Mapping[str, Words] = {
    "user": ("uid", "gid"),
    "capabilities": ("capabilities.add", "capabilities", "ambient"),
    "seccomp": ("seccomp", "capabilities.add", "capabilities"),
    "no-new-privileges": ("noNewPrivileges", "capabilities.add", "capabilities"),
    "masked-paths": ("maskedPaths", "capabilities.add", "capabilities"),
    "read-only-paths": ("readonlyPaths", "capabilities.add", "capabilities"),
    **{key: (key,) for key in NAMESPACES},
    "shared-mounts": ("binds.add", "binds", "mounts", "rootfsPropagation"),
    "root": ("readonly",),
    "binds": ("binds.add", "binds", "mounts"),
    "writable-binds": ("binds.add", "binds", "mounts"),
    "devices": ("devices", "resources"),
    "pids-limit": ("resources", "annotations"),
    "memory-limit": ("resources", "annotations"),
    "cpu-shares": ("resources",),
    "ports": (),
    "set-id-files": (),
}
"""Fact -> the keys of the spec's entry that decide it, in this order. A sandbox follows from the capabilities."""


def facts(config: Json, files: Tree, ports: Iterable[str], supervised: bool = False) -> dict[str, Words | None]:
    """Returns the facts of a container.

    config: its config.json. files: its root file system. ports: those that its image declares. supervised: it is a
    service of a node whose supervisor sets limits.
    """
    process, linux = config.get("process", {}), config.get("linux", {})
    found: dict[str, Words | None] = {
        "user": (f"{process['user']['uid']}:{process['user']['gid']}",),
        "capabilities": _capabilities(process.get("capabilities", {})),
        "seccomp": _seccomp(linux.get("seccomp")),
        "no-new-privileges": ("on",) if process.get("noNewPrivileges") else (),
        "masked-paths": tuple(linux.get("maskedPaths", ())),
        "read-only-paths": tuple(linux.get("readonlyPaths", ())),
        "shared-mounts": tuple(_shared(config)),
        "root": ("read-only" if config.get("root", {}).get("readonly") else "writable",),
        "binds": tuple(source for source, _ in _binds(config)),
        "writable-binds": tuple(source for source, writable in _binds(config) if writable),
        "devices": tuple(_devices(linux)),
        "ports": tuple(ports) or None,
        "set-id-files": tuple(set_id_files(files)),
    }
    return found | _namespaces(linux) | _limits(linux.get("resources", {}), config, supervised)


def _capabilities(sets: Mapping[str, list[str]]) -> Words:
    """Returns the capabilities that the process has or may get."""
    return tuple(sorted({name for names in sets.values() for name in names}))


def _seccomp(filter: Json | None) -> Words:
    """Returns the action for system calls that no rule of the filter names; () if the filter allows all."""
    if not filter or (filter.get("defaultAction") == ALLOWING and not filter.get("syscalls")):
        return ()
    return (str(filter["defaultAction"]),)


def _namespaces(linux: Json) -> dict[str, Words | None]:
    paths = {each["type"]: each.get("path", "") for each in linux.get("namespaces", ())}

    def word(kind: str) -> str:
        path = paths.get(kind)
        return HOST if path is None or path.startswith("/proc/1/") else path or NEW

    return {key: (word(kind),) for key, kind in NAMESPACES.items()}


def _shared(config: Json) -> Iterator[str]:
    """Yields the paths in the container from which mounts reach the node."""
    if config.get("linux", {}).get("rootfsPropagation", "") in SHARED:
        yield "/"
    for mount in config.get("mounts", ()):
        if SHARED.intersection(mount.get("options", ())):
            yield mount["destination"]


def _binds(config: Json) -> Iterator[tuple[str, bool]]:
    """Yields what the container sees of the node, without volumes, and whether it may write to it."""
    for mount in config.get("mounts", ()):
        source, options = mount.get("source", ""), mount.get("options", ())
        is_bind = mount.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(options)
        if is_bind and source.startswith("/") and not source.startswith("/containers/volumes/"):
            yield source, "ro" not in options


def _devices(linux: Json) -> Iterator[str]:
    """Yields the device nodes, and the classes of devices that the container may open besides: `all c`, `all b`."""
    for device in linux.get("devices", ()):
        yield device["path"]
    for rule in linux.get("resources", {}).get("devices", ()):
        if rule.get("allow") and rule.get("major", -1) < 0:
            kinds = "cb" if rule.get("type", "a") == "a" else rule["type"]
            yield from (f"all {kind}" for kind in kinds)


def _limits(resources: Json, config: Json, supervised: bool) -> dict[str, Words | None]:
    annotations = config.get("annotations", {})

    def limit(group: str, name: str, default: str) -> Words:
        own = resources.get(group, {})
        if "limit" in own or "swap" in own:  # the supervisor leaves it as it is
            return (str(own["limit"]),) if own.get("limit", 0) > 0 else ()
        text = annotations.get(name, default) if supervised else "max"
        return () if text == "max" else (text,)

    return {
        "pids-limit": limit("pids", "nodekiln.pids.max", PIDS),
        "memory-limit": limit("memory", "nodekiln.memory.max", MEMORY),
        "cpu-shares": tuple(str(number) for number in (resources.get("cpu", {}).get("shares"),) if number),
    }


def set_id_files(files: Tree) -> Iterator[str]:
    """Yields the set-user-id and set-group-id files in a tree, and files with capabilities."""
    for path, entry in files.items():
        if type(entry) is File and (entry.mode & SET_ID or FILE_CAPABILITIES in dict(entry.xattrs)):
            yield path
