"""Rules of runc and the kernel for a whole config.json.

Rules for a single value are errors of the spec (container.container). The rules here concern several keys, of which an
image's label may contain some, so that a violation is a warning at the key: LinuxKit accepts it.

Source: runc, libcontainer/configs/validate/validator.go and specconv/spec_linux.go; its cgroups' ConvertMemorySwap… and
ConvertCPUShares…; setrlimit(2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.language.problem import KeyPath, SpecWarning, suggestion

IPC_SYSCTLS = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
)  # fmt: skip
"""Kernel parameters of an IPC namespace, besides fs.mqueue."""
NAMESPACES = {"net.": "net", "fs.mqueue.": "ipc", "user.": "userns"}
"""Prefix of a kernel parameter -> key of the namespace that it belongs to."""
MOUNT_OPTIONS = (
    "acl", "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "idmap", "iversion",
    "lazytime", "loud", "mand", "noacl", "noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime",
    "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev",
    "rdiratime", "relatime", "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec",
    "rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw",
    "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave",
    "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable",
)  # fmt: skip
"""Mount options that runc implements (`runc features`). It passes others to the file system; a bind has none."""
TMPFS_OPTIONS = ("size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "inode32", "inode64", "noswap")
"""Mount options of tmpfs (tmpfs(5))."""
RULE_TYPES = ("a", "b", "c")
"""Types in a rule of the devices cgroup."""
SHARES = (2, 262144)
"""Minimum and maximum of cpu.shares, which runc maps to the weights 1 to 10000 of cgroup v2."""
MOST_FILES = 1048576
"""Default of the sysctl fs.nr_open: maximum number of open files of a process."""

Json = Mapping[str, Any]


def namespace_of(sysctl: str) -> str:
    """Returns the key of the namespace that a kernel parameter belongs to (net, ipc, uts, userns); "" for none.

    The separator may be `.` or `/` (sysctl.d(5)).
    """
    first = min((at for at in map(sysctl.find, "./") if at >= 0), default=-1)
    name = sysctl.translate(str.maketrans("./", "/.")) if first >= 0 and sysctl[first] == "/" else sysctl
    if name in IPC_SYSCTLS:
        return "ipc"
    if name == "kernel.domainname":
        return "uts"
    return next((key for start, key in NAMESPACES.items() if name.startswith(start)), "")


def validate(config: Json) -> Iterator[SpecWarning]:
    """Yields the reasons why runc would not start a container with this config.json."""
    linux = config["linux"]
    own = {namespace["type"] for namespace in linux["namespaces"]}
    yield from _namespaces(config, own)
    yield from _process(config["process"])
    yield from _limits(config["process"].get("rlimits", ()))
    for mount in config["mounts"]:
        yield from _mount(mount)
    yield from _devices(linux.get("devices", ()))
    yield from _resources(linux.get("resources", {}))


def _namespaces(config: Json, own: set[str]) -> Iterator[SpecWarning]:
    linux = config["linux"]
    if config.get("hostname") and "uts" not in own:
        yield SpecWarning(("hostname",), "the container has no UTS namespace of its own for a host name", "uts: new")
    types = {"net": "network", "ipc": "ipc", "uts": "uts", "userns": "user"}
    for name in linux.get("sysctl", {}):
        if (key := namespace_of(name)) and types[key] not in own:
            message = f"the sysctl {name!r} belongs to the node's namespace, and runc does not set it"
            yield SpecWarning(("sysctl", name), message, f"{key}: new")
    mapped = [name for name in ("uidMappings", "gidMappings") if linux.get(name)]
    joined = any(namespace["type"] == "user" and "path" in namespace for namespace in linux["namespaces"])
    if mapped and "user" not in own:
        yield SpecWarning((mapped[0],), "the container has no user namespace for mapped ids", "userns: new")
    if "user" in own and not mapped and not joined:
        yield SpecWarning(("userns",), "a user namespace needs mappings of its ids", "uidMappings: [...]")


def _process(process: Json) -> Iterator[SpecWarning]:
    """Checks values that an image's configuration may contain; those of an entry are checked with the spec."""
    if not process["cwd"].startswith("/"):
        message = f"the working directory {process['cwd']!r} does not start with '/'"
        yield SpecWarning(("cwd",), message, f"cwd: /{process['cwd']}")
    for index, text in enumerate(process.get("env", ())):
        name, equals, _ = text.partition("=")
        if not (name and equals) or "\0" in text:
            yield SpecWarning(("env", index), f"{text[:80]!r} is not a variable NAME=value", "env: [...]")


def _limits(limits: Sequence[Json]) -> Iterator[SpecWarning]:
    for index, limit in enumerate(limits):
        if limit["type"] == "RLIMIT_NOFILE" and limit["hard"] > MOST_FILES:
            message = f"the limit exceeds the kernel's {MOST_FILES} open files"
            yield SpecWarning(("rlimits", index), message, "lower it, or raise the sysctl fs.nr_open of the node")
        if limit["type"] in (earlier["type"] for earlier in limits[:index]):
            yield SpecWarning(
                ("rlimits", index), f"duplicate limit {limit['type']}", "the runtime specification forbids it"
            )


def _mount(mount: Json) -> Iterator[SpecWarning]:
    """Checks destination, source and options. An unknown option of a bind is ignored or refused."""
    place, kind = mount["destination"], mount["type"]
    if not place.startswith("/"):
        yield SpecWarning(("mounts", place), f"the destination {place!r} does not start with '/'", f"/{place}")
    if kind == "bind" and mount.get("source", "bind") == "bind":
        yield SpecWarning(("mounts", place), f"the bind at {place!r} has no source", "source: a path, or a volume")
    own = TMPFS_OPTIONS if kind == "tmpfs" else ()
    for option in mount.get("options", ()) if kind in ("bind", "tmpfs") else ():
        if option and option.partition("=")[0] not in (*MOUNT_OPTIONS, *own):
            hint = suggestion(option.partition("=")[0], (*MOUNT_OPTIONS, *own))
            yield SpecWarning(("mounts", place), f"{option!r} is not an option of a {kind} mount", hint)


def _devices(nodes: Sequence[Json]) -> Iterator[SpecWarning]:
    for index, node in enumerate(nodes):
        if node["type"] not in RULE_TYPES:
            message = f"runc does not support devices of type {node['type']!r}"
            yield SpecWarning(("devices", node["path"]), message, "c or b")
        if node["path"] in (earlier["path"] for earlier in nodes[:index]):
            yield SpecWarning(
                ("devices", node["path"]), f"two devices at {node['path']}", "runc makes the first of them"
            )


def _resources(resources: Json) -> Iterator[SpecWarning]:
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if swap > 0 and limit <= 0:
        yield SpecWarning(("resources", "memory", "swap"), "swap, the sum of memory and swap, needs a limit of memory")
    elif 0 < swap < limit:
        message = f"swap is the sum of memory and swap: {swap} is less than the limit of memory, {limit}"
        yield SpecWarning(("resources", "memory", "swap"), message)
    shares = cpu.get("shares", 0)
    if shares and not SHARES[0] <= shares <= SHARES[1]:
        path: KeyPath = ("resources", "cpu", "shares")
        yield SpecWarning(path, f"{shares} is not a valid number of CPU shares", f"{SHARES[0]} to {SHARES[1]}")
    for index, rule in enumerate(resources.get("devices", ())):
        if not rule.get("access"):
            yield SpecWarning(("resources", "devices", index), "the rule has no access", "access: rwm")
