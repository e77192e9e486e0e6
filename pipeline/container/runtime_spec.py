"""config.json and runtime.json of a container's bundle, made of the spec's entry, the image's label and its config.

config.json follows the OCI runtime specification (config.md, config-linux.md; version 1.2.1). runtime.json contains the
preparations of LinuxKit's init. A key of the entry replaces that of the label, which replaces the image's entrypoint,
environment and working directory (LinuxKit, moby/config.go), and the sandbox (pipeline.container.sandbox). Keys have
the order of the specification and empty ones are omitted, as in Go's encoding/json: without a sandbox, the bytes are
LinuxKit's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.container import cgroup, sandbox
from pipeline.container.capabilities import CAPABILITIES
from pipeline.container.container import MOUNTPOINTS, limits, mount_type
from pipeline.language.problem import KeyPath, StageProblem

OCI_VERSION = "1.2.1"
PTS_OPTIONS = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
_NAMESPACES = (
    ("net", "network", "root"),
    ("ipc", "ipc", "root"),
    ("uts", "uts", "root"),
    ("pid", "pid", ""),
    ("userns", "user", "root"),
)
"""Key, name in the specification, default; in LinuxKit's order."""

Json = dict[str, Any]
Resolve = Callable[[str, str, KeyPath], int]
"""(name, "passwd" or "group", path of the name in the entry) -> id."""


class MergedConfig:
    """The configuration of a container: its entry, with the image's label for keys that the entry does not have.

    Both are JSON that pipeline.container.container has checked. defaults: values for keys that neither has.
    """

    def __init__(
        self, entry: Mapping[str, Any], label: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.entry, self.label, self.defaults = entry, label, defaults or {}

    def get(self, name: str, default: Any = None) -> Any:
        layers = (self.entry, self.label, self.defaults)
        return next((layer[name] for layer in layers if name in layer), default)

    def text(self, name: str, default: str = "") -> str:
        """Returns a string; an empty one counts as missing."""
        return self.entry.get(name) or self.label.get(name) or default

    def with_added(self, name: str) -> list[str]:
        """Returns `binds` or `capabilities`: the entry's, else the label's with those of `NAME.add`."""
        if name in self.entry:
            return list(self.entry[name])
        return [*self.label.get(name, ()), *self.entry.get(f"{name}.add", ())]

    def path(self, name: str, index: int) -> KeyPath:
        """Returns the path of item `index` in the entry; ("image",) if it is the label's."""
        if name in self.entry:
            return (name, index)
        before = len(self.label.get(name, ()))
        return (f"{name}.add", index - before) if index >= before and f"{name}.add" in self.entry else ("image",)


def config(
    merged: MergedConfig, image: Mapping[str, Any], resolve: Resolve, seccomp: Mapping[str, Any] | None = None
) -> Json:
    """Returns config.json. StageProblem for a name without an id, or an unknown capability.

    image: the `config` of the image's configuration (image-spec, config.md). seccomp: its `linux.seccomp`, if any.
    """
    readonly = bool(merged.get("readonly", False))
    return _without_empty(
        {
            "ociVersion": OCI_VERSION,
            "process": _process(merged, image, resolve),
            "root": {"path": "rootfs"} | ({"readonly": True} if readonly else {}),
            "hostname": merged.text("hostname"),
            "mounts": mounts(merged),
            "annotations": _sorted(merged.get("annotations", {})),
            "linux": _linux(merged, seccomp),
        }
    )


def sandboxed(
    merged: MergedConfig, arch: str, gains_rights: bool = False, linuxkit: bool = False
) -> tuple[MergedConfig, Json | None]:
    """Returns the configuration with its sandbox's defaults, and its seccomp profile. StageProblem as `config`.

    arch: the node's. gains_rights: the image has programs that gain rights by execve. linuxkit: without defaults.
    """
    calls = merged.get("seccomp", sandbox.UNCONFINED if linuxkit else sandbox.DEFAULT)
    capabilities = frozenset() if calls == sandbox.BASIC else bounding(merged)
    own_network = any(namespace["type"] == "network" for namespace in _namespaces(merged))
    confined = sandbox.Confined(capabilities, mounts(merged), gains_rights, own_network)
    defaults = {} if linuxkit else sandbox.defaults(confined)
    return MergedConfig(merged.entry, merged.label, defaults), sandbox.profile(confined, calls, arch)


def runtime(merged: MergedConfig, root: list[Json]) -> Json:
    """Returns runtime.json. root: the mounts that make the container's root file system, which come first."""
    runtime = MergedConfig(merged.entry.get("runtime", {}), merged.label.get("runtime", {}))
    bind_ns = MergedConfig(runtime.entry.get("bindNS", {}), runtime.label.get("bindNS", {}))
    return {
        "cgroups": runtime.get("cgroups", []),
        "mounts": root + [_mount(mount) for mount in runtime.get("mounts", [])],
        "mkdir": runtime.get("mkdir", []),
        "interfaces": [_interface(interface) for interface in runtime.get("interfaces", [])],
        "bindNS": {name: bind_ns.get(name, "") for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")},
        "namespace": runtime.get("namespace", ""),
    }


def root_mounts(bundle: str, root: str, readonly: bool) -> list[Json]:
    """Returns the mounts that make `bundle`/rootfs of the root file system at `root` (paths in the node's image)."""
    if readonly:
        return [{"destination": f"/{bundle}/rootfs", "source": f"/{root}", "options": ["bind"]}]
    layers = [f"lowerdir=/{root}", f"upperdir=/{bundle}/tmp/upper", f"workdir=/{bundle}/tmp/work"]
    return [
        {"destination": f"/{bundle}/tmp", "type": "tmpfs", "source": "tmpfs"},
        {"destination": f"/{bundle}/tmp", "options": ["remount", "private"]},
        {"destination": f"/{bundle}/rootfs", "type": "overlay", "source": "overlay", "options": layers},
    ]


def marshal(document: Json) -> bytes:
    """Serialises as Go's json.MarshalIndent with four spaces: only <, >, &, U+2028 and U+2029 are escaped."""
    text = json.dumps(document, indent=4, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "surrogateescape")


def _process(merged: MergedConfig, image: Mapping[str, Any], resolve: Resolve) -> Json:
    ambient, effective = _ambient(merged), _effective(merged)
    bounding = sorted({*effective, *ambient})
    sets = {"bounding": bounding, "effective": effective, "inheritable": bounding, "permitted": bounding}
    command = [*(image.get("Entrypoint") or ()), *(image.get("Cmd") or ())]
    cwd = merged.text("cwd", image.get("WorkingDir") or "/")
    process = {
        "user": _user(merged, resolve),
        "args": merged.get("command", command),
        "env": merged.get("env", image.get("Env") or []),
        "cwd": cwd,
        "capabilities": _without_empty(sets | {"ambient": ambient}),
        "rlimits": [_rlimit(text) for text in merged.get("rlimits", [])],
        "noNewPrivileges": merged.get("noNewPrivileges", False),
        "oomScoreAdj": merged.get("oomScoreAdj"),
    }
    return _without_empty(process, keep=("user", "cwd", "capabilities", "oomScoreAdj"))


def _user(merged: MergedConfig, resolve: Resolve) -> Json:
    def number(value: str | int, database: str, path: KeyPath) -> int:
        return value if isinstance(value, int) else 0 if value in ("", "root") else resolve(value, database, path)

    groups = merged.get("additionalGids", [])
    user: Json = {
        "uid": number(merged.get("uid", 0), "passwd", _path(merged, "uid")),
        "gid": number(merged.get("gid", 0), "group", _path(merged, "gid")),
    }
    if groups:
        paths = [merged.path("additionalGids", index) for index in range(len(groups))]
        user["additionalGids"] = [number(group, "group", path) for group, path in zip(groups, paths, strict=True)]
    return user


def _path(merged: MergedConfig, name: str) -> KeyPath:
    return (name,) if name in merged.entry else ("image",)


def bounding(merged: MergedConfig) -> frozenset[str]:
    """Returns all capabilities that the container may have. StageProblem for an unknown one."""
    return frozenset({*_effective(merged), *_ambient(merged)})


def _effective(merged: MergedConfig) -> list[str]:
    return _capabilities(merged, "capabilities", merged.with_added("capabilities"))


def _ambient(merged: MergedConfig) -> list[str]:
    return _capabilities(merged, "ambient", merged.get("ambient", []))


def _capabilities(merged: MergedConfig, key: str, names: list[str]) -> list[str]:
    if len(names) == 1 and names[0].lower() in ("all", "none"):
        return list(CAPABILITIES) if names[0].lower() == "all" else []
    for index, name in enumerate(names):
        if name not in CAPABILITIES:
            path = merged.path(key, index)
            source = " in the image's label" if path == ("image",) else ""
            raise StageProblem(path, f"unknown capability {name!r}{source}")
    return list(names)


def _rlimit(text: str) -> Json:
    name = text.partition(",")[0].strip().upper().removeprefix("RLIMIT_")
    soft, hard = limits(text)
    return {"type": f"RLIMIT_{name}", "hard": hard, "soft": soft}


def mounts(merged: MergedConfig) -> list[Json]:
    """Returns all mounts, sorted by destination. A later mount replaces an earlier one with its destination."""
    ro = ["ro"] if merged.get("readonly", False) else []
    places = {
        "/proc": _new_mount("/proc", "proc", "proc", ["nosuid", "nodev", "noexec", "relatime"]),
        "/dev": _new_mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k", *ro]),
        "/dev/pts": _new_mount("/dev/pts", "devpts", "devpts", [*PTS_OPTIONS]),
        "/sys": _new_mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", *ro]),
        "/sys/fs/cgroup": _new_mount(
            "/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]
        ),
    }
    for text in merged.get("tmpfs", []):
        destination, colon, options = text.partition(":")
        places[destination] = _new_mount(destination, "tmpfs", "tmpfs", options.split(",") if colon else [])
    for text in merged.with_added("binds"):
        source, destination, *options = text.split(":")
        flags = [*options[0].split(","), "rbind"] if options else ["rw", "rbind", "rshared"]
        places[destination] = _new_mount(destination, "bind", source, flags)
    for mount in merged.get("mounts", []):
        filesystem = mount_type(mount.get("type"), mount.get("source"), mount.get("destination"))
        destination = mount.get("destination") or MOUNTPOINTS[filesystem]
        usual = {"destination": destination, "type": filesystem, "source": mount.get("source") or filesystem}
        places[destination] = _mount(mount | usual)
    return [places[destination] for destination in sorted(places, key=str.encode)]


def _new_mount(destination: str, filesystem: str, source: str, options: list[str]) -> Json:
    mount: Json = {"destination": destination, "type": filesystem, "source": source}
    return mount | ({"options": options} if options else {})


def _mount(mount: Mapping[str, Any]) -> Json:
    """Returns a mount with the specification's names and order of keys."""
    keys = (("destination", "destination"), ("type", "type"), ("source", "source"), ("options", "options"))
    ids = (("uidMappings", "uidmappings"), ("gidMappings", "gidmappings"))
    return {"destination": ""} | {name: mount[ours] for name, ours in keys + ids if mount.get(ours)}


def _interface(interface: Mapping[str, Any]) -> Json:
    present = {name: interface[name] for name in ("name", "add", "peer") if interface.get(name)}
    return present | {"createInRoot": interface.get("createInRoot", False)}


def _linux(merged: MergedConfig, seccomp: Mapping[str, Any] | None) -> Json:
    nodes, rules = cgroup.devices(merged.get("devices", []))
    resources = cgroup.resources(merged.get("resources", {}), rules)
    linux = {
        "uidMappings": merged.get("uidMappings", []),
        "gidMappings": merged.get("gidMappings", []),
        "sysctl": _sorted(merged.get("sysctl", {})),
        "resources": resources,
        "cgroupsPath": merged.get("cgroupsPath", ""),
        "namespaces": _namespaces(merged),
        "devices": nodes,
        "seccomp": seccomp,
        "rootfsPropagation": merged.get("rootfsPropagation", ""),
        "maskedPaths": merged.get("maskedPaths", []),
        "readonlyPaths": merged.get("readonlyPaths", []),
    }
    return _without_empty(linux, keep=("resources",))


def _namespaces(merged: MergedConfig) -> list[Json]:
    """Returns the namespaces that the container creates or joins. Its mount namespace is always its own."""
    namespaces = []
    for key, kind, default in _NAMESPACES:
        value = merged.text(key, default)
        if value not in ("host", "root"):
            path = "" if value in ("", "new") or (value == "none" and key == "net") else value
            namespaces.append({"type": kind} | ({"path": path} if path else {}))
    return [*namespaces, {"type": "mount"}]


def _sorted(mapping: Mapping[str, str]) -> Json:
    return {name: mapping[name] for name in sorted(mapping, key=str.encode)}


def _without_empty(document: Json, keep: tuple[str, ...] = ()) -> Json:
    """Returns `document` without empty values. Those in `keep` may be empty or 0, but not None."""
    return {name: value for name, value in document.items() if value or (name in keep and value is not None)}
