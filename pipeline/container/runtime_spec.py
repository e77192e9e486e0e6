"""config.json and runtime.json of a container's bundle, out of the spec's entry, the image's label and its config.

config.json is that of the OCI runtime specification (config.md, config-linux.md; version 1.2.1); runtime.json is what
LinuxKit's init does before it starts the container. Three sources say something: the image (entrypoint, environment,
working directory), its label, the entry; the last that says it wins (LinuxKit, moby/config.go). Keys come in the order
of the specification, empty ones are left out, as Go's encoding/json does it: the bytes are LinuxKit's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.container import cgroup
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
"""Key, the specification's name, default; in LinuxKit's order."""

Json = dict[str, Any]
Resolve = Callable[[str, str, KeyPath], int]
"""(name, "passwd" or "group", where it is said) -> id."""


class MergedConfig:
    """What the label and the entry say of one container, as JSON that pipeline.container.container has checked.

    The entry wins, key by key.
    """

    def __init__(self, entry: Mapping[str, Any], label: Mapping[str, Any]) -> None:
        self.entry, self.label = entry, label

    def get(self, name: str, default: Any = None) -> Any:
        return self.entry[name] if name in self.entry else self.label.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        """Texts: an empty one says nothing."""
        return self.entry.get(name) or self.label.get(name) or default

    def added(self, name: str) -> list[str]:
        """`binds`, `capabilities`: the entry's, else the label's and what the entry adds to them."""
        if name in self.entry:
            return list(self.entry[name])
        return [*self.label.get(name, ()), *self.entry.get(f"{name}.add", ())]

    def path(self, name: str, index: int) -> KeyPath:
        """Where the value is said: in the entry, or (as a person can mend it) at the image that brings the label."""
        if name in self.entry:
            return (name, index)
        before = len(self.label.get(name, ()))
        return (f"{name}.add", index - before) if index >= before and f"{name}.add" in self.entry else ("image",)


def config(said: MergedConfig, image: Mapping[str, Any], resolve: Resolve) -> Json:
    """config.json.

    image: the `config` of the image's config (image-spec, config.md). Raises StageProblem for a name without an id, or
    an unknown capability.
    """
    readonly = bool(said.get("readonly", False))
    return _without_empty(
        {
            "ociVersion": OCI_VERSION,
            "process": _process(said, image, resolve),
            "root": {"path": "rootfs"} | ({"readonly": True} if readonly else {}),
            "hostname": said.text("hostname"),
            "mounts": _mounts(said, readonly),
            "annotations": _sorted(said.get("annotations", {})),
            "linux": _linux(said),
        }
    )


def runtime(said: MergedConfig, root: list[Json]) -> Json:
    """runtime.json. `root` are the mounts that make the container's root file system; they come first."""
    said = MergedConfig(said.entry.get("runtime", {}), said.label.get("runtime", {}))
    bound = MergedConfig(said.entry.get("bindNS", {}), said.label.get("bindNS", {}))
    return {
        "cgroups": said.get("cgroups", []),
        "mounts": root + [_mount(mount) for mount in said.get("mounts", [])],
        "mkdir": said.get("mkdir", []),
        "interfaces": [_interface(interface) for interface in said.get("interfaces", [])],
        "bindNS": {name: bound.get(name, "") for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")},
        "namespace": said.get("namespace", ""),
    }


def root_mounts(bundle: str, root: str, readonly: bool) -> list[Json]:
    """The mounts that make `bundle`/rootfs out of the root file system at `root` (paths in the image)."""
    if readonly:
        return [{"destination": f"/{bundle}/rootfs", "source": f"/{root}", "options": ["bind"]}]
    layers = [f"lowerdir=/{root}", f"upperdir=/{bundle}/tmp/upper", f"workdir=/{bundle}/tmp/work"]
    return [
        {"destination": f"/{bundle}/tmp", "type": "tmpfs", "source": "tmpfs"},
        {"destination": f"/{bundle}/tmp", "options": ["remount", "private"]},
        {"destination": f"/{bundle}/rootfs", "type": "overlay", "source": "overlay", "options": layers},
    ]


def marshal(document: Json) -> bytes:
    """The bytes of Go's json.MarshalIndent, four spaces deep: nothing is escaped but <, >, &, U+2028 and U+2029."""
    text = json.dumps(document, indent=4, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "surrogateescape")


def _process(said: MergedConfig, image: Mapping[str, Any], resolve: Resolve) -> Json:
    ambient = _capabilities(said, "ambient", said.get("ambient", []))
    effective = _capabilities(said, "capabilities", said.added("capabilities"))
    bounding = sorted({*effective, *ambient})
    sets = {"bounding": bounding, "effective": effective, "inheritable": bounding, "permitted": bounding}
    command = [*(image.get("Entrypoint") or ()), *(image.get("Cmd") or ())]
    cwd = said.text("cwd", image.get("WorkingDir") or "/")
    process = {
        "user": _user(said, resolve),
        "args": said.get("command", command),
        "env": said.get("env", image.get("Env") or []),
        "cwd": cwd,
        "capabilities": _without_empty(sets | {"ambient": ambient}),
        "rlimits": [_rlimit(text) for text in said.get("rlimits", [])],
        "noNewPrivileges": said.get("noNewPrivileges", False),
        "oomScoreAdj": said.get("oomScoreAdj"),
    }
    return _without_empty(process, keep=("user", "cwd", "capabilities", "oomScoreAdj"))


def _user(said: MergedConfig, resolve: Resolve) -> Json:
    def number(value: str | int, database: str, path: KeyPath) -> int:
        return value if isinstance(value, int) else 0 if value in ("", "root") else resolve(value, database, path)

    groups = said.get("additionalGids", [])
    user: Json = {
        "uid": number(said.get("uid", 0), "passwd", _said_at(said, "uid")),
        "gid": number(said.get("gid", 0), "group", _said_at(said, "gid")),
    }
    if groups:
        paths = [said.path("additionalGids", index) for index in range(len(groups))]
        user["additionalGids"] = [number(group, "group", path) for group, path in zip(groups, paths, strict=True)]
    return user


def _said_at(said: MergedConfig, name: str) -> KeyPath:
    return (name,) if name in said.entry else ("image",)


def _capabilities(said: MergedConfig, name: str, asked: list[str]) -> list[str]:
    if len(asked) == 1 and asked[0].lower() in ("all", "none"):
        return list(CAPABILITIES) if asked[0].lower() == "all" else []
    for index, capability in enumerate(asked):
        if capability not in CAPABILITIES:
            path = said.path(name, index)
            of_label = ", which the image's label asks for" if path == ("image",) else ""
            raise StageProblem(path, f"unknown capability: {capability}{of_label}")
    return list(asked)


def _rlimit(text: str) -> Json:
    name = text.partition(",")[0].strip().upper().removeprefix("RLIMIT_")
    soft, hard = limits(text)
    return {"type": f"RLIMIT_{name}", "hard": hard, "soft": soft}


def _mounts(said: MergedConfig, readonly: bool) -> list[Json]:
    """Every mount, by destination: so that /dev comes before /dev/pts, and a later word replaces an earlier one."""
    ro = ["ro"] if readonly else []
    found = {
        "/proc": _made("/proc", "proc", "proc", ["nosuid", "nodev", "noexec", "relatime"]),
        "/dev": _made("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k", *ro]),
        "/dev/pts": _made("/dev/pts", "devpts", "devpts", [*PTS_OPTIONS]),
        "/sys": _made("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", *ro]),
        "/sys/fs/cgroup": _made("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    }
    for text in said.get("tmpfs", []):
        destination, colon, options = text.partition(":")
        found[destination] = _made(destination, "tmpfs", "tmpfs", options.split(",") if colon else [])
    for text in said.added("binds"):
        source, destination, *options = text.split(":")
        chosen = [*options[0].split(","), "rbind"] if options else ["rw", "rbind", "rshared"]
        found[destination] = _made(destination, "bind", source, chosen)
    for mount in said.get("mounts", []):
        filesystem = mount_type(mount.get("type"), mount.get("source"), mount.get("destination"))
        destination = mount.get("destination") or MOUNTPOINTS[filesystem]
        usual = {"destination": destination, "type": filesystem, "source": mount.get("source") or filesystem}
        found[destination] = _mount(mount | usual)
    return [found[destination] for destination in sorted(found, key=str.encode)]


def _made(destination: str, filesystem: str, source: str, options: list[str]) -> Json:
    made: Json = {"destination": destination, "type": filesystem, "source": source}
    return made | ({"options": options} if options else {})


def _mount(mount: Mapping[str, Any]) -> Json:
    """A mount in the specification's order of keys."""
    keys = (("destination", "destination"), ("type", "type"), ("source", "source"), ("options", "options"))
    ids = (("uidMappings", "uidmappings"), ("gidMappings", "gidmappings"))
    return {"destination": ""} | {name: mount[ours] for name, ours in keys + ids if mount.get(ours)}


def _interface(interface: Mapping[str, Any]) -> Json:
    said = {name: interface[name] for name in ("name", "add", "peer") if interface.get(name)}
    return said | {"createInRoot": interface.get("createInRoot", False)}


def _linux(said: MergedConfig) -> Json:
    nodes, rules = cgroup.devices(said.get("devices", []))
    resources = cgroup.resources(said.get("resources", {}), rules)
    linux = {
        "uidMappings": said.get("uidMappings", []),
        "gidMappings": said.get("gidMappings", []),
        "sysctl": _sorted(said.get("sysctl", {})),
        "resources": resources,
        "cgroupsPath": said.get("cgroupsPath", ""),
        "namespaces": _namespaces(said),
        "devices": nodes,
        "rootfsPropagation": said.get("rootfsPropagation", ""),
        "maskedPaths": said.get("maskedPaths", []),
        "readonlyPaths": said.get("readonlyPaths", []),
    }
    return _without_empty(linux, keep=("resources",))


def _namespaces(said: MergedConfig) -> list[Json]:
    """The namespaces that the container has of its own, or joins. It always has its own mounts."""
    found = []
    for name, of_spec, default in _NAMESPACES:
        asked = said.text(name, default)
        if asked not in ("host", "root"):
            path = "" if asked in ("", "new") or (asked == "none" and name == "net") else asked
            found.append({"type": of_spec} | ({"path": path} if path else {}))
    return [*found, {"type": "mount"}]


def _sorted(mapping: Mapping[str, str]) -> Json:
    return {name: mapping[name] for name in sorted(mapping, key=str.encode)}


def _without_empty(document: Json, keep: tuple[str, ...] = ()) -> Json:
    """`document` without keys that say nothing; those in `keep` may be empty or 0, but not None."""
    return {name: value for name, value in document.items() if value or (name in keep and value is not None)}
