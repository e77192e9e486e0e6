"""Container: the keys of an entry of `onboot`, `onshutdown` and `services`, and of an image's label.

The keys are LinuxKit's (docs/yaml.md there), with the meanings of the OCI runtime specification (config.md,
config-linux.md). The default of a key is its value in the image's label `org.mobyproject.config`. A key in the entry
replaces that as a whole: `binds: []` removes the label's binds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pipeline.container import runc_validator, seccomp
from pipeline.container.capabilities import CAPABILITIES
from pipeline.container.cgroup import Number32, Resources, Signed
from pipeline.container.names import (
    MAX_ID,
    AbsoluteOrNone,
    AbsolutePath,
    ContainerName,
    Namespace,
    Octal,
    Reference,
    namespace_violations,
    reference_problem,
)
from pipeline.language.kinds import Pattern, Range
from pipeline.language.problem import Violations, suggestion
from pipeline.language.schema import Key, mapping

Id = Annotated[int, Range(0, MAX_ID)] | str
Bind = Annotated[str, Pattern(r"[^:]+:[^:]+(:[^:]*)?", "a bind source:destination[:option,…]")]
Tmpfs = Annotated[str, Pattern(r"[^:]+(:[^:]*)?", "a tmpfs /destination[:option,…]")]
UNLIMITED = (1 << 64) - 1
"""RLIM_INFINITY: no limit."""
LONGEST_ARGUMENT = (128 << 10) - 1
"""Maximum length of an argument or variable of a process, in bytes: MAX_ARG_STRLEN less the NUL (execve(2))."""
LARGEST_MAJOR, LARGEST_MINOR = (1 << 12) - 1, (1 << 20) - 1
"""Limits of a device's numbers (include/linux/kdev_t.h)."""
Argument = Annotated[str, Pattern(r"[^\x00]*", "a string without NUL", is_shell_word=True)]
Variable = Annotated[str, Pattern(r"[^=\x00]+=[^\x00]*", "a variable NAME=value")]
LONGEST_HOST_NAME = 64
"""Maximum length of a host name, in bytes: __NEW_UTS_LEN (include/uapi/linux/utsname.h)."""
HostName = Annotated[
    str,
    Pattern(rf"[!-.0-~]{{0,{LONGEST_HOST_NAME}}}", "a host name (at most 64 characters, without spaces and '/')"),
]
InterfaceName = Annotated[
    str,
    Pattern(
        r"(?!\.{1,2}(?!.))[^\s/:\x00-\x1f]{0,15}",
        "an interface name (at most 15 characters, without spaces, '/' and ':')",
    ),
]
"""dev_valid_name() of the kernel, net/core/dev.c; IFNAMSIZ counts a NUL."""
Propagation = Annotated[
    str,
    Pattern(
        "(r?(shared|slave|private|unbindable))?",
        "shared, slave, private or unbindable, or one of these with a leading r",
    ),
]
SystemCall = Annotated[str, Pattern("[a-z_][a-z0-9_]*", "the name of a system call")]
_LIMITS = "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK"


def _any_case(words: str) -> str:
    """Returns a regular expression for any of `words` in upper or lower case; JSON Schema has no flag for that."""
    return "|".join("".join(f"[{letter}{letter.lower()}]" for letter in word) for word in words.split())


_NUMBER = rf"\s*([0-9]{{1,20}}|{_any_case('UNLIMITED')})\s*"
Rlimit = Annotated[
    str,
    Pattern(
        rf"\s*(({_any_case('RLIMIT')})_)?({_any_case(_LIMITS)})\s*,{_NUMBER},{_NUMBER}",
        "a limit name,soft,hard such as nofile,1024,4096",
    ),
]
AFTER = "nodekiln.after"
"""Annotation of a service: the conditions that its first start waits for, with commas between."""
CONDITIONS = ("network", "time", "hostname")
"""Conditions that the boot code answers (images/init/lua/conditions.lua)."""
NAMESPACE_KEYS = ("net", "pid", "ipc", "uts", "userns")
MOUNTPOINTS = {
    "proc": "/proc",
    "devpts": "/dev/pts",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "mqueue": "/dev/mqueue",
}
"""Kernel file systems that a mount may name by its source alone -> the default destination."""


@mapping
class IdMapping:
    """A range of ids inside a user namespace, mapped to ids outside."""

    containerID: Number32 = 0
    """First id inside."""
    hostID: Number32 = 0
    """First id outside."""
    size: Number32 = 0
    """Number of ids."""

    def problems(self) -> Violations:
        if not self.size:
            yield (), "the mapping is empty", "size: the number of ids"


@mapping
class Mount:
    """A mount (OCI runtime specification)."""

    destination: str | None = None
    """Path inside the container. Optional for proc, devpts, sysfs, cgroup and mqueue."""
    type: str | None = None
    """Type of file system. Optional for the sources proc, devpts, sysfs, cgroup and mqueue."""
    source: str | None = None
    """A path, the name of a volume (with type bind), or the type again."""
    options: tuple[str, ...] | None = None
    """Mount options (mount(8))."""
    uidmappings: tuple[IdMapping, ...] | None = None
    """User ids that the mount maps to others."""
    gidmappings: tuple[IdMapping, ...] | None = None
    """Group ids that the mount maps to others."""

    def problems(self) -> Violations:
        filesystem = mount_type(self.type, self.source, self.destination)
        if not filesystem:
            yield (), f"the mount at {self.destination or 'no destination'} has no type", "bind, tmpfs, …"
        elif not (self.destination or MOUNTPOINTS.get(filesystem)):
            yield (), f"the mount of type {filesystem} has no destination", ""


def mount_type(type: str | None, source: str | None, destination: str | None) -> str:
    """Returns the type of a mount, derived from source or destination if necessary; "" if it cannot be derived."""
    return type or (source if source in MOUNTPOINTS else "") or ("tmpfs" if destination == "/dev" else "") or ""


@mapping
class Device:
    """A device node inside the container. Path `all` allows every device of the type, without creating a node."""

    path: str
    """Path inside the container, or `all`."""
    type: Annotated[str, Pattern("[abcup]", "c (character), b (block), u, p or a (all)")] | None = None
    """c for a character device, b for a block device, p for a FIFO."""
    major: Signed | None = None
    """Major number."""
    minor: Signed | None = None
    """Minor number."""
    mode: Octal | None = None
    """Permissions, an octal number in quotes."""

    def problems(self) -> Violations:
        if self.path == "all":
            return
        if self.mode is None:
            yield (), f"the device {self.path} has no mode", 'mode: "0600"'
        if self.type in (None, "a"):
            yield () if self.type is None else ("type",), f"the device {self.path} has no type", "c, b or p"
        for name, number, largest in (("major", self.major, LARGEST_MAJOR), ("minor", self.minor, LARGEST_MINOR)):
            if number is not None and not 0 <= number <= largest:
                yield (name,), f"{number} is not a device's {name} number", f"0 to {largest}"


@mapping
class Interface:
    """A network interface that is moved into the container or created there."""

    name: InterfaceName | None = None
    """Name inside the container."""
    add: str | None = None
    """Type of a new interface: veth, dummy, wireguard, … Default: an existing interface is moved."""
    peer: InterfaceName | None = None
    """Name of the other end of a veth, which stays outside."""
    createInRoot: bool = False
    """Create it outside, then move it."""


@mapping
class BindNS:
    """Files that the container's namespaces are bound to, so that other containers can join them."""

    cgroup: AbsoluteOrNone | None = None
    """Path for the cgroup namespace."""
    ipc: AbsoluteOrNone | None = None
    """Path for the IPC namespace."""
    mnt: AbsoluteOrNone | None = None
    """Path for the mount namespace."""
    net: AbsoluteOrNone | None = None
    """Path for the network namespace."""
    pid: AbsoluteOrNone | None = None
    """Path for the process namespace."""
    user: AbsoluteOrNone | None = None
    """Path for the user namespace."""
    uts: AbsoluteOrNone | None = None
    """Path for the UTS namespace."""


@mapping
class Runtime:
    """Preparations on the node before the container starts. Each key replaces that of the label."""

    cgroups: tuple[str, ...] | None = None
    """Cgroups to create."""
    mounts: tuple[Mount, ...] | None = None
    """Mounts on the node; a relative destination is inside the container's root file system."""
    mkdir: tuple[str, ...] | None = None
    """Directories to create after the mounts, mode 0755."""
    interfaces: tuple[Interface, ...] | None = None
    """Network interfaces to move or create."""
    bindNS: BindNS | None = None
    """Files to bind the namespaces to."""
    namespace: Namespace | None = None
    """Namespace of containerd (services only)."""


@mapping
class Config:
    """Keys of an image's label `org.mobyproject.config`, and of every entry."""

    command: tuple[Argument, ...] | None = None
    """Program and arguments. Replaces the image's entrypoint and command."""
    env: tuple[Variable, ...] | None = None
    """Environment variables, `NAME=value`. Replaces the image's."""
    cwd: AbsoluteOrNone | None = None
    """Working directory. Default: the image's, else `/`."""
    capabilities: tuple[str, ...] | None = None
    """Capabilities (`CAP_…`), or `all` or `none` alone. Default: none."""
    capabilities_add: Annotated[tuple[str, ...] | None, Key("capabilities.add")] = None
    """Capabilities added to the label's."""
    ambient: tuple[str, ...] | None = None
    """Ambient capabilities (`CAP_…`), or `all` or `none` alone."""
    mounts: tuple[Mount, ...] | None = None
    """Mounts, added to the default ones and to binds. One with the same destination replaces them."""
    binds: tuple[Bind, ...] | None = None
    """Bind mounts, `source:destination[:option,…]`. A source without leading `/` is a volume. Default: rw, rshared."""
    binds_add: Annotated[tuple[Bind, ...] | None, Key("binds.add")] = None
    """Binds added to the label's. Ignored with `binds`."""
    tmpfs: tuple[Tmpfs, ...] | None = None
    """tmpfs mounts, `/destination[:option,…]`."""
    devices: tuple[Device, ...] | None = None
    """Device nodes, with the right to use them."""
    net: str | None = None
    """Network namespace: `host` or `root` (the node's, the default), `new` or `none`, or a path."""
    pid: str | None = None
    """Process namespace: `new` (the default), `host` or `root`, or a path."""
    ipc: str | None = None
    """IPC namespace: `host` or `root` (the default), `new`, or a path."""
    uts: str | None = None
    """UTS namespace: `host` or `root` (the default), `new`, or a path."""
    userns: str | None = None
    """User namespace: `host` or `root` (the default), `new`, or a path."""
    readonly: bool | None = None
    """Read-only root file system, without an overlay."""
    uid: Id | None = None
    """User: a number, a container's name (ids count from 100), or a name in the image's /etc/passwd."""
    gid: Id | None = None
    """Group: a number, a container's name, or a name in the image's /etc/group."""
    additionalGids: tuple[Id, ...] | None = None
    """Supplementary groups, as in `gid`."""
    noNewPrivileges: bool | None = None
    """Programs gain no privileges: neither set-uid bits nor file capabilities have an effect. Default: true, unless it
    has CAP_SYS_ADMIN or the image has such programs."""
    seccomp: Literal["default", "basic", "unconfined"] | tuple[SystemCall, ...] | None = None
    """System calls: those that its capabilities need (`default`), those of a container without capabilities (`basic`:
    then it has such a container's paths, too), all (`unconfined`), or names of calls besides those by default."""
    hostname: HostName | None = None
    """Host name (with `uts: new`)."""
    oomScoreAdj: Annotated[int, Range(-1000, 1000)] | None = None
    """Preference for being killed when memory is short: -1000 (never) to 1000."""
    rootfsPropagation: Propagation | None = None
    """Mount propagation: `shared`, `slave`, `private` or `unbindable`, or one of these with a leading `r`."""
    cgroupsPath: str | None = None
    """Path of the cgroup."""
    resources: Resources | None = None
    """Limits of the cgroup. Replaces the label's as a whole."""
    sysctl: Mapping[str, str] | None = None
    """Kernel parameters of the container's namespaces."""
    rlimits: tuple[Rlimit, ...] | None = None
    """Resource limits, `name,soft,hard`; `unlimited` for no limit."""
    maskedPaths: tuple[AbsolutePath, ...] | None = None
    """Paths that are hidden from the container. Default: by its capabilities (docs/explanation/hardening.md)."""
    readonlyPaths: tuple[AbsolutePath, ...] | None = None
    """Paths that are read-only. Default: by its capabilities (docs/explanation/hardening.md)."""
    uidMappings: tuple[IdMapping, ...] | None = None
    """Mapping of user ids (with `userns: new`)."""
    gidMappings: tuple[IdMapping, ...] | None = None
    """Mapping of group ids."""
    annotations: Mapping[str, str] | None = None
    """Annotations of the OCI bundle."""
    runtime: Runtime | None = None
    """Preparations on the node before it starts."""

    def problems(self) -> Violations:
        for key, names in (("capabilities", self.capabilities), ("ambient", self.ambient)):
            if names and not (len(names) == 1 and names[0].lower() in ("all", "none")):
                yield from _unknown_capabilities(key, names)
        yield from _unknown_capabilities("capabilities.add", self.capabilities_add or ())
        yield from namespace_violations({key: getattr(self, key) for key in NAMESPACE_KEYS})
        yield from _limit_violations(self.rlimits or ())
        for key, texts in (("command", self.command), ("env", self.env)):
            for index, text in enumerate(texts or ()):
                if (size := len(text.encode())) > LONGEST_ARGUMENT:
                    message = f"{size} bytes exceed the kernel's limit of {LONGEST_ARGUMENT}"
                    yield (key, index), message, "pass it in a file"
        for name in self.sysctl or {}:
            if not runc_validator.namespace_of(name):
                message = f"the sysctl {name!r} belongs to the whole node, and runc does not set it"
                hint = suggestion(name, runc_validator.IPC_SYSCTLS)
                yield ("sysctl", name), message, hint or "allowed: net.*, fs.mqueue.*, kernel.shm…, user.*"
        if isinstance(self.seccomp, tuple):
            yield from _unknown_calls(self.seccomp)
        yield from _annotation_violations(self.annotations or {})


def limits(text: str) -> tuple[int, int]:
    """Returns the soft and the hard limit of an rlimit."""
    soft, hard = (part.strip().lower() for part in text.split(",")[1:])
    return UNLIMITED if soft == "unlimited" else int(soft), UNLIMITED if hard == "unlimited" else int(hard)


def _annotation_violations(annotations: Mapping[str, str]) -> Violations:
    if "" in annotations:
        yield ("annotations",), "an annotation has no name", ""
    for word in annotations.get(AFTER, CONDITIONS[0]).split(","):
        if word not in CONDITIONS:
            hint = suggestion(word, CONDITIONS) or f"a list of {', '.join(CONDITIONS)}"
            yield ("annotations", AFTER), f"{word!r} is not a condition of {AFTER}", hint


def _limit_violations(rlimits: tuple[str, ...]) -> Violations:
    for index, text in enumerate(rlimits):
        soft, hard = limits(text)
        if max(soft, hard) > UNLIMITED:
            yield ("rlimits", index), f"the limit {text!r} exceeds 64 bits", "write unlimited"
        elif soft > hard:
            yield ("rlimits", index), f"the soft limit of {text!r} exceeds the hard limit", "name,soft,hard"


def _unknown_calls(names: tuple[str, ...]) -> Violations:
    known = seccomp.table().names
    for index, name in enumerate(names):
        if name not in known:
            yield ("seccomp", index), f"unknown system call {name!r}", suggestion(name, sorted(known))


def _unknown_capabilities(key: str, names: tuple[str, ...]) -> Violations:
    for index, name in enumerate(names):
        if name in CAPABILITIES:
            continue
        if name.lower() in ("all", "none"):
            hint = f"{name} must be the only value of capabilities or ambient"
        else:
            known = [capability.removeprefix("CAP_") for capability in CAPABILITIES]
            hint = suggestion(name.upper().removeprefix("CAP_"), known).replace("'", "'CAP_", 1)
        yield (key, index), f"unknown capability {name!r}", hint


@mapping
class Container(Config):
    """A container: an image and its runtime configuration."""

    name: ContainerName
    """Name of the container and of its folder, unique among services."""
    image: Reference
    """Image: `name:tag`, `name@sha256:…`, `oci:DIR[:REF]`, `docker-archive:FILE`, `@pkg:images/NAME`."""

    def problems(self) -> Violations:
        yield from super().problems()
        if message := reference_problem(self.image):
            yield ("image",), message, ""
