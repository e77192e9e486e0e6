"""Checks of a container's configuration that need its image: ids of user names, its program, its mount points."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.container import runc_validator
from pipeline.container.runtime_spec import MergedConfig, Resolve
from pipeline.language.problem import KeyPath, StageProblem, suggestion, warn
from pipeline.model.path_resolution import follow, is_within
from pipeline.model.tree import Entry, File, Tree
from pipeline.store import Store

MAX_DATABASE = 10 << 20
"""Maximum size of an /etc/passwd that is read, in bytes (containerd's limit)."""
RUNTIME_MOUNT_POINTS = ("dev", "dev/pts", "dev/shm", "etc", "etc/hosts", "etc/resolv.conf", "proc", "sys")
"""Mount points that need not exist in the image."""
NO_COMMAND = ("no command: neither the spec nor the image has one", "command: [...]")
"""Message and hint."""


def resolver(store: Store, tree: Tree, ids: Mapping[str, int]) -> Resolve:
    """Returns a function from names to ids: those of `ids` (containers), then the image's passwd and group files."""

    def resolve(name: str, database: str, path: KeyPath) -> int:
        if name in ids:
            return ids[name]
        known = ids_by_name(store, tree, f"etc/{database}")
        if name not in known:
            hint = f"without quotes: {name}" if name.isdigit() else suggestion(name, [*ids, *known])
            message = f"{name!r} is neither a container of this spec nor in the image's /etc/{database}"
            raise StageProblem(path, message, hint)
        return known[name]

    return resolve


def ids_by_name(store: Store, tree: Tree, path: str) -> dict[str, int]:
    """Reads a passwd(5) or group(5) file. Returns {} if the image has none."""
    entry = follow(tree, path)
    if type(entry) is not File or entry.size > MAX_DATABASE:
        return {}
    ids: dict[str, int] = {}
    for line in store.bytes(entry.content).decode("utf-8", "replace").splitlines():
        name, _, number, *_ = (line + ":::").split(":")
        if number.isascii() and number.isdigit() and int(number) < 1 << 32:
            ids.setdefault(name, int(number))
    return ids


def warn_about(merged: MergedConfig, config: Mapping[str, Any], user: str, tree: Tree) -> None:
    """Warns about configurations that LinuxKit accepts and that fail on the node (docs/explanation/linuxkit.md).

    config: the container's config.json. user: the image's. tree: the image's root file system.
    """
    entry = merged.entry
    if user not in ("", "0", "root", "0:0", "root:root") and merged.get("uid") is None:
        message = f"the image's user {user!r} is ignored: the container runs as root"
        warn(("image",), message, f"uid: {user.partition(':')[0]}")
    destinations = [mount["destination"].rstrip("/") for mount in config["mounts"]]
    _warn_about_command(config, tree, entry, destinations)
    for warning in runc_validator.validate(config):
        warn(_path_in_entry(warning.path, entry), warning.message, warning.hint)
    if config["root"].get("readonly"):
        _warn_about_mount_points([mount["destination"] for mount in config["mounts"]], tree, entry)


def _warn_about_command(
    config: Mapping[str, Any], tree: Tree, entry: Mapping[str, Any], destinations: Sequence[str]
) -> None:
    path: KeyPath = ("command", 0) if "command" in entry else ("image",)
    if not config["process"].get("args"):
        warn(path[:1], *NO_COMMAND)
        return
    candidates = program_paths(config["process"])
    if any(is_within(candidate, folder) for candidate in candidates for folder in destinations):
        return
    if (problem := program_problem(tree, config["process"]["args"][0], candidates)) is not None:
        warn(path, *problem)


def program_paths(process: Mapping[str, Any]) -> list[str]:
    """Returns the paths of a container's program that runc tries, in its order. process: of config.json."""
    program = process["args"][0]
    if "/" in program:
        return [posixpath.normpath(posixpath.join(process["cwd"], program))]
    path = next((variable[5:] for variable in process.get("env", []) if variable.startswith("PATH=")), "")
    return [posixpath.join(folder, program) for folder in path.split(":") if folder]


def program_problem(tree: Mapping[str, Entry], program: str, candidates: Sequence[str]) -> tuple[str, str] | None:
    """Returns message and hint if none of the `candidates` for `program` is an executable file; else None."""
    files = [entry for entry in (follow(tree, candidate) for candidate in candidates) if type(entry) is File]
    if not files:
        return f"the image has no {program!r}", "" if candidates else "PATH is not set: write the whole path"
    if not any(file.mode & 0o111 for file in files):
        return f"{program!r} is not executable in the image", ""
    return None


def _warn_about_mount_points(destinations: Sequence[str], tree: Tree, entry: Mapping[str, Any]) -> None:
    """Warns about missing mount points, which runc cannot create in a read-only root."""
    for index, place in enumerate(destinations):
        if place.strip("/") in RUNTIME_MOUNT_POINTS or follow(tree, place) is not None:
            continue
        if not any(is_within(place, other.rstrip("/")) for other in destinations[:index]):
            message = f"the image has no {place!r} to mount on, and its root is read-only"
            warn(mount_path(place, entry), message, "it will not start")


def _path_in_entry(path: KeyPath, entry: Mapping[str, Any]) -> KeyPath:
    """Returns the path in the entry of a problem in config.json; ("image",) if the image's label is the cause."""
    if path[0] == "mounts":
        return mount_path(str(path[1]), entry)
    if path[0] == "devices":
        indexes = [index for index, device in enumerate(entry.get("devices", ())) if device["path"] == path[1]]
        return ("devices", indexes[-1]) if indexes else ("image",)
    return path if path[0] in entry else ("image",)


def mount_path(destination: str, entry: Mapping[str, Any]) -> KeyPath:
    """Returns the path of the mount, bind or tmpfs in the entry that has this destination; else ("image",)."""
    for name in ("mounts", "binds", "binds.add", "tmpfs"):
        for index, mount in enumerate(entry.get(name, [])):
            place = mount.get("destination", "") if isinstance(mount, dict) else mount.split(":")[name != "tmpfs"]
            if place == destination:
                return (name, index)
    return ("image",)
