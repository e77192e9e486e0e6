"""Container: what one entry of `onboot`, `onshutdown` and `services` may say, and what an image's label may say.

The keys are LinuxKit's (docs/yaml.md there); their meaning is that of the OCI runtime specification, config.md and
config-linux.md. A key that is left out is taken from the image's label `org.mobyproject.config`, one that is written
replaces the label's as a whole: `binds: []` drops the binds that the label asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pipeline.container import runc_validator
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
    wrong_namespaces,
    wrong_reference,
)
from pipeline.language.problem import KeyPath, suggestion
from pipeline.language.schema import Key, Pattern, Range, mapping

Violations = Iterator[tuple[KeyPath, str, str]]

Id = Annotated[int, Range(0, MAX_ID)] | str
Bind = Annotated[str, Pattern(r"[^:]+:[^:]+(:[^:]*)?", "a bind source:destination[:option,…]")]
Tmpfs = Annotated[str, Pattern(r"[^:]+(:[^:]*)?", "a tmpfs /destination[:option,…]")]
UNLIMITED = (1 << 64) - 1
"""RLIM_INFINITY: no limit."""
LONGEST_ARGUMENT = (128 << 10) - 1
"""Bytes of an argument or a variable of a process: MAX_ARG_STRLEN, less the NUL (execve(2))."""
LARGEST_MAJOR, LARGEST_MINOR = (1 << 12) - 1, (1 << 20) - 1
"""Of a device's numbers (include/linux/kdev_t.h)."""
Argument = Annotated[str, Pattern(r"[^\x00]*", "a string without NUL", is_shell_word=True)]
Variable = Annotated[str, Pattern(r"[^=\x00]+=[^\x00]*", "a variable NAME=value")]
LONGEST_HOST_NAME = 64
"""Bytes: __NEW_UTS_LEN (include/uapi/linux/utsname.h)."""
HostName = Annotated[
    str,
    Pattern(rf"[!-.0-~]{{0,{LONGEST_HOST_NAME}}}", "a host name: at most 64 characters, no space, no '/'"),
]
InterfaceName = Annotated[
    str,
    Pattern(r"(?!\.{1,2}(?!.))[^\s/:\x00-\x1f]{0,15}", "a name of at most 15 characters, without space, '/' and ':'"),
]
"""dev_valid_name() of the kernel, net/core/dev.c; IFNAMSIZ counts a NUL."""
Propagation = Annotated[
    str, Pattern("(r?(shared|slave|private|unbindable))?", "shared, slave, private or unbindable, with an r or not")
]
_LIMITS = "AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK"


def _any_case(words: str) -> str:
    """A regular expression (JSON Schema's has no flag for it) for any of `words`, in capitals or not."""
    return "|".join("".join(f"[{letter}{letter.lower()}]" for letter in word) for word in words.split())


_NUMBER = rf"\s*([0-9]{{1,20}}|{_any_case('UNLIMITED')})\s*"
Rlimit = Annotated[
    str,
    Pattern(
        rf"\s*(({_any_case('RLIMIT')})_)?({_any_case(_LIMITS)})\s*,{_NUMBER},{_NUMBER}",
        "a limit name,soft,hard such as nofile,1024,4096",
    ),
]
NAMESPACE_KEYS = ("net", "pid", "ipc", "uts", "userns")
MOUNTPOINTS = {
    "proc": "/proc",
    "devpts": "/dev/pts",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "mqueue": "/dev/mqueue",
}
"""Kernel file systems that a mount may name by its source alone, and where they go."""


@mapping
class IdMapping:
    """A range of ids inside a user namespace and what it is outside."""

    containerID: Number32 = 0
    """First id inside."""
    hostID: Number32 = 0
    """First id outside."""
    size: Number32 = 0
    """How many ids."""

    def problems(self) -> Violations:
        if not self.size:
            yield (), "this maps no id", "size: how many"


@mapping
class Mount:
    """A mount, as the OCI runtime specification has it."""

    destination: str | None = None
    """Where, inside the container. Known by itself for proc, devpts, sysfs, cgroup and mqueue."""
    type: str | None = None
    """Type of file system. Known by itself where the source is proc, devpts, sysfs, cgroup or mqueue."""
    source: str | None = None
    """What is mounted: a path, the name of a volume (with type bind), or the type again."""
    options: tuple[str, ...] | None = None
    """Options of mount(8)."""
    uidmappings: tuple[IdMapping, ...] | None = None
    """Ids of users that the mount shows as others."""
    gidmappings: tuple[IdMapping, ...] | None = None
    """Ids of groups that the mount shows as others."""

    def problems(self) -> Violations:
        filesystem = mount_type(self.type, self.source, self.destination)
        if not filesystem:
            yield (), f"the mount at {self.destination or 'no destination'} has no type", "bind, tmpfs, …"
        elif not (self.destination or MOUNTPOINTS.get(filesystem)):
            yield (), f"the mount of type {filesystem} has no destination", ""


def mount_type(type: str | None, source: str | None, destination: str | None) -> str:
    """The type of a mount that may leave it out; "" if it does not follow."""
    return type or (source if source in MOUNTPOINTS else "") or ("tmpfs" if destination == "/dev" else "") or ""


@mapping
class Device:
    """A device node inside the container. Path `all` stands for every device of the type: a rule, and no node."""

    path: str
    """Where, inside the container, or `all`."""
    type: Annotated[str, Pattern("[abcup]", "c (character), b (block), u, p or a (all)")] | None = None
    """c for a character device, b for a block device, p for a FIFO."""
    major: Signed | None = None
    """Its major number."""
    minor: Signed | None = None
    """Its minor number."""
    mode: Octal | None = None
    """Its permissions, an octal number in quotes."""

    def problems(self) -> Violations:
        if self.path == "all":
            return
        if self.mode is None:
            yield (), f"the device {self.path} has no mode", 'mode: "0600"'
        if self.type in (None, "a"):
            yield () if self.type is None else ("type",), f"the device {self.path} has no type", "c, b or p"
        for name, number, largest in (("major", self.major, LARGEST_MAJOR), ("minor", self.minor, LARGEST_MINOR)):
            if number is not None and not 0 <= number <= largest:
                yield (name,), f"{number} is no {name} number of a device", f"0 to {largest}"


@mapping
class Interface:
    """A network interface that is moved into the container, or made there."""

    name: InterfaceName | None = None
    """Its name inside the container."""
    add: str | None = None
    """Type of a new one: veth, dummy, wireguard, …; left out: an existing one is moved."""
    peer: InterfaceName | None = None
    """Name of the other end (of a veth), which stays outside."""
    createInRoot: bool = False
    """Whether it is made outside and then moved."""


@mapping
class BindNS:
    """Files that the container's namespaces are bound to, so that others can join them."""

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
    """What is done on the node before the container starts. Each key replaces the label's by itself."""

    cgroups: tuple[str, ...] | None = None
    """Cgroups to make."""
    mounts: tuple[Mount, ...] | None = None
    """Mounts outside the container, before it is made; a relative destination is inside its root file system."""
    mkdir: tuple[str, ...] | None = None
    """Directories to make, mode 0755, after the mounts."""
    interfaces: tuple[Interface, ...] | None = None
    """Network interfaces to move or make."""
    bindNS: BindNS | None = None
    """Files to bind its namespaces to."""
    namespace: Namespace | None = None
    """containerd's namespace (services only)."""


@mapping
class Config:
    """What an image's label `org.mobyproject.config` may say, and every entry too."""

    command: tuple[Argument, ...] | None = None
    """Program and arguments. Replaces the image's entrypoint and command both."""
    env: tuple[Variable, ...] | None = None
    """Environment, `NAME=value` each. Replaces the image's."""
    cwd: AbsoluteOrNone | None = None
    """Working directory. Empty: the image's, else `/`."""
    capabilities: tuple[str, ...] | None = None
    """Capabilities, `CAP_…` each; or only `all`, or only `none`. None by default."""
    capabilities_add: Annotated[tuple[str, ...] | None, Key("capabilities.add")] = None
    """Capabilities on top of the label's."""
    ambient: tuple[str, ...] | None = None
    """Ambient capabilities, `CAP_…` each; or only `all`, or only `none`."""
    mounts: tuple[Mount, ...] | None = None
    """Mounts, on top of the usual ones and of binds; the same destination replaces."""
    binds: tuple[Bind, ...] | None = None
    """`source:destination[:option,…]` each. A source without a leading `/` is a volume. By default: rw, rshared."""
    binds_add: Annotated[tuple[Bind, ...] | None, Key("binds.add")] = None
    """Binds on top of the label's. Ignored where `binds` is written."""
    tmpfs: tuple[Tmpfs, ...] | None = None
    """`/destination[:option,…]` each."""
    devices: tuple[Device, ...] | None = None
    """Device nodes, and the right to use them."""
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
    """Whether the root file system is read-only. Then no overlay is mounted over it."""
    uid: Id | None = None
    """User: a number, a container's name (its own id, numbered from 100), or a name of the image's /etc/passwd."""
    gid: Id | None = None
    """Group: a number, a container's name, or a name of the image's /etc/group."""
    additionalGids: tuple[Id, ...] | None = None
    """More groups, as in `gid`."""
    noNewPrivileges: bool | None = None
    """Whether set-uid programs give nothing."""
    hostname: HostName | None = None
    """Host name (with `uts: new`)."""
    oomScoreAdj: Annotated[int, Range(-1000, 1000)] | None = None
    """How soon it is killed when memory is short: -1000 (never) to 1000."""
    rootfsPropagation: Propagation | None = None
    """How mounts spread: `shared`, `slave`, `private`, or one of these with an `r` before it."""
    cgroupsPath: str | None = None
    """Its cgroup."""
    resources: Resources | None = None
    """Limits of its cgroup. Replaces the label's as a whole."""
    sysctl: Mapping[str, str] | None = None
    """Kernel parameters of its namespaces."""
    rlimits: tuple[Rlimit, ...] | None = None
    """`name,soft,hard` each; `unlimited` for no limit."""
    maskedPaths: tuple[AbsolutePath, ...] | None = None
    """Paths that it cannot see. None by default, unlike Docker."""
    readonlyPaths: tuple[AbsolutePath, ...] | None = None
    """Paths that it cannot write to. None by default, unlike Docker."""
    uidMappings: tuple[IdMapping, ...] | None = None
    """User ids inside and outside (with `userns: new`)."""
    gidMappings: tuple[IdMapping, ...] | None = None
    """Group ids inside and outside."""
    annotations: Mapping[str, str] | None = None
    """Annotations of the OCI bundle."""
    runtime: Runtime | None = None
    """What is done on the node before it starts."""

    def problems(self) -> Violations:
        for name, asked in (("capabilities", self.capabilities), ("ambient", self.ambient)):
            if asked and not (len(asked) == 1 and asked[0].lower() in ("all", "none")):
                yield from unknown_capabilities(name, asked)
        yield from unknown_capabilities("capabilities.add", self.capabilities_add or ())
        for key, message, hint in wrong_namespaces({key: getattr(self, key) for key in NAMESPACE_KEYS}):
            yield (key,), message, hint
        yield from _wrong_limits(self.rlimits or ())
        for name, texts in (("command", self.command), ("env", self.env)):
            for index, text in enumerate(texts or ()):
                if (size := len(text.encode())) > LONGEST_ARGUMENT:
                    yield (name, index), f"{size} bytes; the kernel takes at most {LONGEST_ARGUMENT} of each", "a file"
        for name in self.sysctl or {}:
            if not runc_validator.namespace_of(name):
                message = f"the sysctl {name!r} is the whole node's, and runc lets no container set it"
                known = suggestion(name, runc_validator.IPC_SYSCTLS)
                yield ("sysctl", name), message, known or "net.*, fs.mqueue.*, kernel.shm… and user.* are a container's"
        if "" in (self.annotations or {}):
            yield ("annotations",), "an annotation has no name", ""


def limits(text: str) -> tuple[int, int]:
    """The soft and the hard limit of an rlimit."""
    soft, hard = (part.strip().lower() for part in text.split(",")[1:])
    return UNLIMITED if soft == "unlimited" else int(soft), UNLIMITED if hard == "unlimited" else int(hard)


def _wrong_limits(rlimits: tuple[str, ...]) -> Violations:
    for index, text in enumerate(rlimits):
        soft, hard = limits(text)
        if max(soft, hard) > UNLIMITED:
            yield ("rlimits", index), f"the limit {text!r} does not fit into 64 bits", "write unlimited"
        elif soft > hard:
            yield ("rlimits", index), f"the limit {text!r} is softer than it is hard: soft comes first", "soft <= hard"


def unknown_capabilities(name: str, asked: tuple[str, ...]) -> Violations:
    """A problem for each of `asked` that the kernel does not know."""
    for index, capability in enumerate(asked):
        if capability not in CAPABILITIES:
            near = suggestion(
                capability.upper().removeprefix("CAP_"), [known.removeprefix("CAP_") for known in CAPABILITIES]
            )
            hint = near.replace("'", "'CAP_", 1)
            if capability.lower() in ("all", "none"):
                hint = f"{capability} stands alone, under capabilities or ambient"
            yield (name, index), f"unknown capability: {capability}", hint


@mapping
class Container(Config):
    """A container: an image, and how it runs."""

    name: ContainerName
    """Its name, and its folder's. Services need different ones."""
    image: Reference
    """The image: `name:tag`, `name@sha256:…`, `oci:DIR[:REF]`, `docker-archive:FILE`, `@pkg:images/NAME`."""

    def problems(self) -> Violations:
        yield from super().problems()
        if message := wrong_reference(self.image):
            yield ("image",), message, ""
