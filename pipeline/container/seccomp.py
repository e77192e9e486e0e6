"""Seccomp profiles: the system calls that a container may make, by its capabilities.

syscalls.yml has the calls; the profile is that of the OCI runtime specification (config-linux.md, "Seccomp"). A call
that takes a capability which the container lacks fails with EPERM, and one that the profile does not have with ENOSYS:
it may be newer than the profile, and programs (glibc first of all) do without a call only if it does not seem to exist.

Sources: seccomp(2), capabilities(7), clone(2), personality(2), and the kernel's checks of each call.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.container.capabilities import ADMIN

Json = dict[str, Any]

TABLE = Path(__file__).with_name("syscalls.yml")
ARCHITECTURES = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}
"""The node's architecture -> that of its calls. A call of another one (32-bit programs) ends the process."""
NAMESPACES = {
    "CLONE_NEWNS": 0x00020000, "CLONE_NEWCGROUP": 0x02000000, "CLONE_NEWUTS": 0x04000000, "CLONE_NEWIPC": 0x08000000,
    "CLONE_NEWUSER": 0x10000000, "CLONE_NEWPID": 0x20000000, "CLONE_NEWNET": 0x40000000,
}  # fmt: skip
"""Flags of clone and unshare that make a namespace (include/uapi/linux/sched.h)."""
NEW_TIME = 0x80
"""CLONE_NEWTIME, which unshare has alone: in clone these bits are the signal of the child's end."""
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Execution domains: PER_LINUX, PER_LINUX32, each with UNAME26, and the query (include/uapi/linux/personality.h)."""
AF_VSOCK = 40
"""The domain of sockets to the hypervisor, which no network namespace holds (include/linux/socket.h)."""


class Table(NamedTuple):
    """The system calls of syscalls.yml."""

    allowed: frozenset[str]
    by_capability: Mapping[str, frozenset[str]]
    conditional: frozenset[str]
    absent: Mapping[str, frozenset[str]]
    """Reason -> calls."""

    @property
    def names(self) -> frozenset[str]:
        """Every call."""
        return self.allowed.union(self.conditional, *self.by_capability.values(), *self.absent.values())


@cache
def table() -> Table:
    """Returns the contents of syscalls.yml."""
    import yaml

    document = yaml.load(TABLE.read_text("utf-8"), Loader=yaml.CSafeLoader)
    groups = {part: {name: frozenset(text.split()) for name, text in document[part].items()} for part in _GROUPED}
    return Table(
        frozenset().union(*groups["allowed"].values()),
        groups["capabilities"],
        frozenset(document["conditional"].split()),
        groups["absent"],
    )


_GROUPED = ("allowed", "capabilities", "absent")


def profile(capabilities: Collection[str], arch: str, own_network: bool, added: Collection[str] = ()) -> Json:
    """Returns the profile of a container (`linux.seccomp` of config.json).

    capabilities: those of its bounding set. arch: the node's. own_network: it has a network namespace of its own.
    added: calls that it may make besides, whatever their arguments.
    """
    known = table()
    held = {call for name, calls in known.by_capability.items() if name in capabilities for call in calls}
    allowed = known.allowed | held | {*added}
    if ADMIN in capabilities:
        allowed |= {"clone", "clone3", "unshare"}
    refused = frozenset().union(*known.by_capability.values()) - allowed
    rules = [_allow(allowed), _refuse(refused, errno.EPERM)]
    rules += [rule for rule in _conditional(own_network) if rule["names"][0] not in allowed]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": [ARCHITECTURES[arch]],
        "syscalls": [rule for rule in rules if rule["names"]],
    }


def _conditional(own_network: bool) -> Iterator[Json]:
    """Yields the rules of calls that depend on their arguments. clone3 has none: a filter cannot read its flags."""
    for call, flags in (("clone", [*NAMESPACES.values()]), ("unshare", [*NAMESPACES.values(), NEW_TIME])):
        yield _allow([call], _masked(sum(flags), 0))
        for flag in flags:
            yield _refuse([call], errno.EPERM, _masked(flag, flag))
    for number in PERSONALITIES:
        yield _allow(["personality"], _compared("EQ", number))
    if not own_network:
        yield _allow(["socket"])
        return
    yield _allow(["socket"], _compared("NE", AF_VSOCK))
    yield _refuse(["socket"], errno.EAFNOSUPPORT, _compared("EQ", AF_VSOCK))


def _allow(names: Collection[str], argument: Json | None = None) -> Json:
    return _rule(names, "SCMP_ACT_ALLOW") | ({"args": [argument]} if argument else {})


def _refuse(names: Collection[str], number: int, argument: Json | None = None) -> Json:
    return _rule(names, "SCMP_ACT_ERRNO") | {"errnoRet": number} | ({"args": [argument]} if argument else {})


def _rule(names: Collection[str], action: str) -> Json:
    return {"names": sorted(names), "action": action}


def _masked(mask: int, value: int) -> Json:
    """Compares the first argument's bits of `mask` with `value`."""
    return {"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _compared(operator: str, value: int) -> Json:
    """Compares the first argument with `value`."""
    return {"index": 0, "value": value, "op": f"SCMP_CMP_{operator}"}
