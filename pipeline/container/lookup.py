"""What only an image can tell about a container's configuration: ids of names, and whether what it names is there."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.container import runc_validator
from pipeline.container.runtime_spec import MergedConfig, Resolve
from pipeline.language.problem import KeyPath, StageProblem, suggestion, warn
from pipeline.model.tree import Directory, Entry, File, Symlink, Tree
from pipeline.store import Store

DATABASE_LIMIT = 10 << 20
"""Bytes of an /etc/passwd that are looked at (containerd has the same bound)."""
LINKS_LIMIT = 40
"""Symlinks followed on one path, as Linux has it."""


def resolver(store: Store, tree: Tree, ids: Mapping[str, int]) -> Resolve:
    """Turns names into ids: those of `ids` (containers), else those of the tree's /etc/passwd and /etc/group."""

    def resolve(name: str, database: str, path: KeyPath) -> int:
        if name in ids:
            return ids[name]
        known = names_of(store, tree, f"etc/{database}")
        if name not in known:
            hint = f"without quotes: {name}" if name.isdigit() else suggestion(name, [*ids, *known])
            message = f"{name!r} is no container of this spec and not in the image's /etc/{database}"
            raise StageProblem(path, message, hint)
        return known[name]

    return resolve


def names_of(store: Store, tree: Tree, path: str) -> dict[str, int]:
    """name -> id of a passwd(5) or group(5) file; {} if the image has none."""
    entry = follow(tree, path)
    if type(entry) is not File or entry.size > DATABASE_LIMIT:
        return {}
    known: dict[str, int] = {}
    for line in store.bytes(entry.content).decode("utf-8", "replace").splitlines():
        name, _, number, *_ = (line + ":::").split(":")
        if number.isascii() and number.isdigit() and int(number) < 1 << 32:
            known.setdefault(name, int(number))
    return known


class Mounted(Exception):
    """A path leads below a mount point: what is there is only known when the node runs."""


def follow(tree: Mapping[str, Entry], path: str) -> Entry | None:
    """What a process in `tree` finds at `path`: symlinks are followed, inside the tree. None if there is nothing."""
    place = resolve(tree, path)
    return None if place is None else tree.get(place) or Directory(0o755, 0, 0, 0)


def resolve(tree: Mapping[str, Entry], path: str, mounted: Collection[str] = ()) -> str | None:
    """The path of what a process in `tree` finds at `path`, without symlinks and `..`; None if there is nothing.

    Symlinks are followed inside the tree. mounted: paths as trees have them; Mounted if the way leads through one.
    """
    pending, reached = [step for step in reversed(path.split("/")) if step], ""
    links = 0
    while pending:
        step = pending.pop()
        if step == ".":
            continue
        if step == "..":
            reached = posixpath.dirname(reached)
            continue
        place = f"{reached}/{step}" if reached else step
        if place in mounted:
            raise Mounted(place)
        entry = tree.get(place)
        if type(entry) is Symlink:
            links += 1
            if links > LINKS_LIMIT:
                return None
            if entry.target.startswith("/"):
                reached = ""
            pending.extend(step for step in reversed(entry.target.split("/")) if step)
        elif entry is None or (pending and type(entry) is not Directory):
            rest = "/".join([place, *reversed(pending)])  # a folder to mount on is made where there is none
            if any(_within(rest, folder) for folder in mounted):
                raise Mounted(rest)
            return None
        else:
            reached = place
    return reached


def warn_of(said: MergedConfig, config: Mapping[str, Any], user: str, tree: Tree) -> None:
    """Warn of what LinuxKit accepts and the node stumbles over: docs/linuxkit.md, "Warnings". `user`: the image's."""
    entry = said.entry
    if user not in ("", "0", "root", "0:0", "root:root") and said.get("uid") is None:
        message = f"the image wants to run as user {user!r}, which is ignored: it runs as root"
        warn(("image",), message, f"uid: {user.partition(':')[0]}")
    destinations = [mount["destination"].rstrip("/") for mount in config["mounts"]]
    _warn_of_command(config, tree, entry, destinations)
    for refusal in runc_validator.validate(config):
        warn(_place_of(refusal.path, entry), refusal.message, refusal.hint)
    if config["root"].get("readonly"):
        _warn_of_targets(config, tree, entry, destinations)


def _warn_of_command(config: Mapping[str, Any], tree: Tree, entry: Mapping[str, Any], destinations: list[str]) -> None:
    path: KeyPath = ("command", 0) if "command" in entry else ("image",)
    if not config["process"].get("args"):
        warn(path[:1], *NO_COMMAND)
        return
    candidates = programs(config["process"])
    if any(_within(candidate, folder) for candidate in candidates for folder in destinations):
        return
    if (wrong := unusable(tree, config["process"]["args"][0], candidates)) is not None:
        warn(path, *wrong)


NO_COMMAND = ("nothing says which command to run", "command: [...]")


def programs(process: Mapping[str, Any]) -> list[str]:
    """The paths at which a container's program may be, in runc's order. process: config.json's, with `args`."""
    program = process["args"][0]
    if "/" in program:
        return [posixpath.normpath(posixpath.join(process["cwd"], program))]
    path_variable = next((each[5:] for each in process.get("env", []) if each.startswith("PATH=")), "")
    return [posixpath.join(folder, program) for folder in path_variable.split(":") if folder]


def unusable(tree: Mapping[str, Entry], program: str, candidates: Sequence[str]) -> tuple[str, str] | None:
    """The message and the hint for a `program` that none of the `candidates` is; None where one can be started."""
    found = [each for each in (follow(tree, candidate) for candidate in candidates) if type(each) is File]
    if not found:
        return f"the image has no {program!r}", "" if candidates else "PATH is not set: write the whole path"
    if not any(each.mode & 0o111 for each in found):
        return f"{program!r} is not executable in the image", ""
    return None


def _warn_of_targets(config: Mapping[str, Any], tree: Tree, entry: Mapping[str, Any], destinations: list[str]) -> None:
    """A mount point that is missing cannot be made where the root file system is read-only."""
    for index, mount in enumerate(config["mounts"]):
        place = mount["destination"]
        others = destinations[:index]
        made = place.strip("/") in ("dev", "dev/pts", "dev/shm", "etc", "etc/hosts", "etc/resolv.conf", "proc", "sys")
        if made or follow(tree, place) is not None or any(_within(place, other) for other in others):
            continue
        message = f"the image has no {place!r} to mount on, and its root is read-only"
        warn(said_at(place, entry), message, "it will not start")


def _place_of(path: KeyPath, entry: Mapping[str, Any]) -> KeyPath:
    """Where an entry says what stands at `path`: a mount by its destination, a device by its path; at the image if its
    label says it."""
    if path[0] == "mounts":
        return said_at(str(path[1]), entry)
    if path[0] == "devices":
        found = [index for index, each in enumerate(entry.get("devices", ())) if each["path"] == path[1]]
        return ("devices", found[-1]) if found else ("image",)
    return path if path[0] in entry else ("image",)


def said_at(destination: str, entry: Mapping[str, Any]) -> KeyPath:
    """The bind, mount or tmpfs of the entry that has this destination; else its image, which brings it by its label."""
    for name in ("mounts", "binds", "binds.add", "tmpfs"):
        for index, said in enumerate(entry.get(name, [])):
            place = said.get("destination", "") if isinstance(said, dict) else said.split(":")[name != "tmpfs"]
            if place == destination:
                return (name, index)
    return ("image",)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
