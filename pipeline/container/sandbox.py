"""The sandbox of a container: what it gets by its capabilities where neither its entry nor its image says otherwise.

Masked and read-only paths keep a root without capabilities from becoming root of the node: the kernel checks the owner
of most files in /proc/sys and /sys, and nothing else. Processes gain no privileges by execve where nothing needs them
to, and make the system calls that their capabilities need (pipeline.container.seccomp). A container with all
capabilities is the node's equal, and has no sandbox. docs/explanation/hardening.md has the table.

Sources: the paths that runc, containerd and Docker protect; proc(5), sysfs(5), capabilities(7); the kernel's
Documentation/userspace-api/no_new_privs.rst.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.container import seccomp
from pipeline.container.capabilities import ADMIN, CAPABILITIES
from pipeline.model.tree import Entry, File

Json = dict[str, Any]
PathRules = Mapping[str, tuple[str, ...]]
"""Path of the node -> capabilities that uncover it, besides CAP_SYS_ADMIN."""

MASKED: PathRules = {
    "/proc/acpi": (),
    "/proc/asound": (),
    "/proc/interrupts": (),
    "/proc/kcore": ("CAP_SYS_RAWIO",),
    "/proc/keys": (),
    "/proc/latency_stats": (),
    "/proc/sched_debug": (),
    "/proc/scsi": ("CAP_SYS_RAWIO",),
    "/proc/timer_list": (),
    "/proc/timer_stats": (),
    "/sys/devices/virtual/powercap": (),
    "/sys/firmware": ("CAP_SYS_RAWIO",),
}
"""Paths that a container does not see: the node's memory, keys, timers, hardware, and what side channels measure."""
READ_ONLY: PathRules = {
    "/proc/bus": ("CAP_SYS_RAWIO",),
    "/proc/fs": (),
    "/proc/irq": (),
    "/proc/sys": ("CAP_NET_ADMIN",),
    "/proc/sysrq-trigger": ("CAP_SYS_BOOT",),
    "/sys": ("CAP_NET_ADMIN", "CAP_SYS_RAWIO"),
}
"""Paths that a container does not write: parameters of the kernel and of devices."""
OTHER_PARAMETERS = tuple(
    f"/proc/sys/{name}"
    for name in ("abi", "crypto", "debug", "dev", "fs", "fscache", "kernel", "sunrpc", "user", "vm", "xen")
)
"""Parameters besides /proc/sys/net: read-only for who administers the network alone (the kernel's register_sysctl)."""
TREES = {"proc": "/proc", "sysfs": "/sys"}
"""Kernel file systems -> their path on the node."""
SET_USER_ID = 0o4000
SET_ID = SET_USER_ID | 0o2000
"""Mode bits of set-user-ID and set-group-ID."""
FILE_CAPABILITIES = "security.capability"
"""Extended attribute with a program's capabilities (capabilities(7))."""


DEFAULT, BASIC, UNCONFINED = "default", "basic", "unconfined"
Seccomp = str | Sequence[str]
"""Value of the key `seccomp`: `default`, `basic`, `unconfined`, or names of system calls."""


class Confined(NamedTuple):
    """The properties of a container that its sandbox follows from."""

    capabilities: frozenset[str]
    """Its bounding set; none with `seccomp: basic`, because it can make use of none that takes a system call."""
    mounts: Sequence[Json]
    """The mounts of config.json."""
    gains: bool = False
    """Its image has programs that gain rights by execve."""
    own_network: bool = False
    """It has a network namespace of its own."""

    @property
    def may_mount(self) -> bool:
        """True for CAP_SYS_ADMIN: it may unmount what covers a path, and start programs of other images."""
        return ADMIN in self.capabilities


def defaults(confined: Confined) -> Json:
    """Returns `maskedPaths`, `readonlyPaths` and `noNewPrivileges` of a container, as keys of its configuration."""
    return {
        "maskedPaths": masked_paths(confined),
        "readonlyPaths": readonly_paths(confined),
        "noNewPrivileges": not confined.may_mount and not confined.gains,
    }


def profile(confined: Confined, value: Seccomp, arch: str) -> Json | None:
    """Returns the seccomp profile (`linux.seccomp`) for a value of the key `seccomp`; None for an unconfined container.

    arch: the node's architecture.
    """
    if value == UNCONFINED or confined.capabilities >= {*CAPABILITIES}:
        return None
    added = () if isinstance(value, str) else value
    return seccomp.profile(confined.capabilities, arch, confined.own_network, added)


def masked_paths(confined: Confined) -> list[str]:
    """Returns the masked paths: in /proc and /sys of its own. A bind of the node's shows what it was made for."""
    mounts = [(TREES[mount["type"]], mount["destination"]) for mount in confined.mounts if mount.get("type") in TREES]
    return [path for tree, place in mounts for path in _seen(_covered(MASKED, confined), tree, place)]


def readonly_paths(confined: Confined) -> list[str]:
    """Returns the read-only paths: in /proc and /sys, and below binds of what holds these paths (`/:/node`).

    A bind of the path itself (`/sys:/sys`) is to be written to, or has `ro`.
    """
    paths = [*_covered(READ_ONLY, confined)]
    if "CAP_NET_ADMIN" in confined.capabilities and not confined.may_mount:
        paths += OTHER_PARAMETERS
    return [seen for mount in confined.mounts for seen in _in_mount(paths, mount)]


def gains_rights(tree: Mapping[str, Entry]) -> bool:
    """Returns True if an image has a set-user-ID or set-group-ID program, or one with file capabilities."""
    return any(True for _ in privileged(tree))


def privileged(tree: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
    """Yields the path of each program that gains rights by execve, and what gives them: `is set-user-ID`, …"""
    for path, entry in tree.items():
        if type(entry) is not File:
            continue
        if FILE_CAPABILITIES in dict(entry.xattrs):
            yield path, "has file capabilities"
        elif entry.mode & SET_ID and entry.mode & 0o111:
            yield path, "is set-user-ID" if entry.mode & SET_USER_ID else "is set-group-ID"


def _covered(rules: PathRules, confined: Confined) -> Iterator[str]:
    """Yields the paths that no capability of the container uncovers."""
    if not confined.may_mount:
        yield from (path for path, lifting in rules.items() if confined.capabilities.isdisjoint(lifting))


def _in_mount(paths: Collection[str], mount: Json) -> Iterator[str]:
    """Yields the places of those of `paths` that a mount shows."""
    if mount.get("type") in TREES:
        yield from _seen(paths, TREES[mount["type"]], mount["destination"])
    elif mount.get("type") == "bind" or {"bind", "rbind"} & {*mount.get("options", ())}:
        source = mount.get("source", "").rstrip("/")
        yield from _seen([path for path in paths if path != source], source, mount["destination"])


def _seen(paths: Collection[str] | Iterator[str], source: str, destination: str) -> Iterator[str]:
    """Yields the places below `destination` of those of `paths` that are below `source` or equal to it."""
    for path in paths:
        if f"{path}/".startswith(f"{source}/"):
            yield destination.rstrip("/") + path.removeprefix(source)
