"""Refused: what runc does not start, or the kernel does not take, of a whole config.json.

What a single text or number shows is refused where the spec is read (language.container). Here several keys count, and
an image's label may have written some of them, so it is a warning at the key, as for all that LinuxKit accepts and a
node stumbles over.

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
"""Kernel parameters that each IPC namespace has of its own, besides fs.mqueue."""
OWNERS = {"net.": "net", "fs.mqueue.": "ipc", "user.": "userns"}
"""Start of a kernel parameter's name -> key of the namespace that it belongs to."""
MOUNT_OPTIONS = (
    "acl", "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "idmap", "iversion",
    "lazytime", "loud", "mand", "noacl", "noatime", "nodev", "nodiratime", "noexec", "noiversion", "nolazytime",
    "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev",
    "rdiratime", "relatime", "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec",
    "rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw",
    "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow", "runbindable", "rw", "shared", "silent", "slave",
    "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable",
)  # fmt: skip
"""The options of a mount that runc sets itself (`runc features`); it hands others to the file system, and a bind has
none."""
TMPFS_OPTIONS = ("size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol", "inode32", "inode64", "noswap")
"""Those of tmpfs itself (tmpfs(5))."""
RULE_TYPES = ("a", "b", "c")
"""Types of a rule of the devices cgroup."""
SHARES = (2, 262144)
"""Least and most of cpu.shares, which runc maps to the weights 1 to 10000 of cgroup v2."""
MOST_FILES = 1048576
"""The kernel's fs.nr_open, as it starts: no process may have a larger limit of open files."""

Json = Mapping[str, Any]


def namespace_of(sysctl: str) -> str:
    """The key of the namespace that the kernel parameter belongs to (net, ipc, uts, userns); "" for the whole node's.

    Both spellings are known: net.ipv4.ip_forward and net/ipv4/ip_forward (sysctl.d(5)).
    """
    first = min((at for at in map(sysctl.find, "./") if at >= 0), default=-1)
    name = sysctl.translate(str.maketrans("./", "/.")) if first >= 0 and sysctl[first] == "/" else sysctl
    if name in IPC_SYSCTLS:
        return "ipc"
    if name == "kernel.domainname":
        return "uts"
    return next((key for start, key in OWNERS.items() if name.startswith(start)), "")


def validate(config: Json) -> Iterator[SpecWarning]:
    """What keeps a container with this config.json from starting, as far as it can be told before."""
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
        yield SpecWarning(
            ("hostname",), "the host name is that of the node: runc sets none in its namespace", "uts: new"
        )
    types = {"net": "network", "ipc": "ipc", "uts": "uts", "userns": "user"}
    for name in linux.get("sysctl", {}):
        if (key := namespace_of(name)) and types[key] not in own:
            message = f"{name} is a parameter of the node's own namespace, which runc does not let a container set"
            yield SpecWarning(("sysctl", name), message, f"{key}: new")
    mapped = [name for name in ("uidMappings", "gidMappings") if linux.get(name)]
    joined = any(each["type"] == "user" and "path" in each for each in linux["namespaces"])
    if mapped and "user" not in own:
        yield SpecWarning((mapped[0],), "ids are mapped in a user namespace, and the container has none", "userns: new")
    if "user" in own and not mapped and not joined:
        yield SpecWarning(("userns",), "a user namespace needs to know what its ids are outside", "uidMappings")


def _process(process: Json) -> Iterator[SpecWarning]:
    """What an image's own configuration may have wrong: an entry's is refused where the spec is read."""
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
            message = f"the kernel lets no process have more than {MOST_FILES} open files, whatever its limit is"
            yield SpecWarning(("rlimits", index), message, "unless the sysctl fs.nr_open of the node says more")
        if limit["type"] in (earlier["type"] for earlier in limits[:index]):
            yield SpecWarning(
                ("rlimits", index), f"{limit['type']} stands twice", "the runtime specification forbids it"
            )


def _mount(mount: Json) -> Iterator[SpecWarning]:
    """A word that is no option of a bind has no effect, and newer runcs refuse it; no tmpfs is mounted with one."""
    place, kind = mount["destination"], mount["type"]
    if not place.startswith("/"):
        yield SpecWarning(("mounts", place), f"the destination {place!r} does not start with '/'", f"/{place}")
    if kind == "bind" and mount.get("source", "bind") == "bind":
        yield SpecWarning(("mounts", place), f"nothing says what is bound to {place!r}", "source: a path, or a volume")
    own = TMPFS_OPTIONS if kind == "tmpfs" else ()
    for option in mount.get("options", ()) if kind in ("bind", "tmpfs") else ():
        if option and option.partition("=")[0] not in (*MOUNT_OPTIONS, *own):
            near = suggestion(option.partition("=")[0], (*MOUNT_OPTIONS, *own))
            yield SpecWarning(("mounts", place), f"{option!r} is no option of a {kind} mount", near)


def _devices(nodes: Sequence[Json]) -> Iterator[SpecWarning]:
    for index, node in enumerate(nodes):
        if node["type"] not in RULE_TYPES:
            message = f"runc has no rule for a device of type {node['type']!r}, and starts no container with one"
            yield SpecWarning(("devices", node["path"]), message, "c or b")
        if node["path"] in (earlier["path"] for earlier in nodes[:index]):
            yield SpecWarning(
                ("devices", node["path"]), f"two devices at {node['path']}", "runc makes the first of them"
            )


def _resources(resources: Json) -> Iterator[SpecWarning]:
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if swap > 0 and limit <= 0:
        yield SpecWarning(("resources", "memory", "swap"), "swap counts memory and swap together: limit is missing")
    elif 0 < swap < limit:
        message = f"swap counts memory and swap together: {swap} is less than the limit of {limit}"
        yield SpecWarning(("resources", "memory", "swap"), message)
    shares = cpu.get("shares", 0)
    if shares and not SHARES[0] <= shares <= SHARES[1]:
        path: KeyPath = ("resources", "cpu", "shares")
        yield SpecWarning(path, f"{shares} is no weight that the kernel takes", f"{SHARES[0]} to {SHARES[1]}")
    for index, rule in enumerate(resources.get("devices", ())):
        if not rule.get("access"):
            yield SpecWarning(("resources", "devices", index), "a rule for devices has no access", "access: rwm")
