"""The files section: adds files to the root file system (LinuxKit, docs/yaml.md, "files")."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.container import image_checks
from pipeline.language.problem import KeyPath, StageProblem, suggestion
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Directory, Entry, File, Symlink, Tree, overlay, parents
from pipeline.store import CHUNK, Store

VERSION = 1
HOST_STAGES = ("files",)
"""Stages that no other machine runs: it reads files of the host."""


def files(
    store: Store,
    *below: Digest,
    entries: list[dict[str, Any]],
    ids: dict[str, int],
    known: list[str],
    epoch: int,
    linuxkit: bool = False,
) -> Digest:
    """Returns the tree of `entries`, in order: a later one wins. StageProblem.

    below: the trees that this one is laid over, the lowest first. known: further directories that exist below. ids: of
    containers, by name. A parent directory gets the entry's owner, and its mode with execute permission; it is left out
    if it exists below, so that a file in /etc does not change /etc. (LinuxKit changes it, and so does linuxkit=True.)
    """
    lower = [store.tree(tree) for tree in below]
    tree: Tree = Tree()
    for entry in entries:
        owner = (_id(store, entry, "uid", ids, lower), _id(store, entry, "gid", ids, lower))
        added: dict[str, Entry] = {}
        for above in parents(entry["path"]):
            is_below = above in known or type(_topmost(lower, above)) is Directory
            if above not in tree and (linuxkit or not is_below):
                added[above] = Directory(_enterable(entry["mode"]), *owner, epoch)
        added[entry["path"]] = _made(store, entry, owner, epoch)
        tree = overlay(tree, added)
    return store.put_tree(tree)


def find_source(source: str, folder: Path) -> str | None:
    """Returns the host's file `source`, spelled the same on every machine if possible; None if there is none.

    `~/` is the user's home. A relative path counts from the spec's folder, then from the working directory.
    """
    path = Path(source)
    candidates = [path] if source.startswith("~/") or path.is_absolute() else [folder / path, path]
    return next((str(candidate) for candidate in candidates if expanded(str(candidate)).is_file()), None)


def expanded(source: str) -> Path:
    """Returns the path of a host file, with the user's home for `~/`; `~NAME` is a file of that name."""
    return Path(os.path.expanduser(source) if source.startswith("~/") else source)


def _made(store: Store, entry: Mapping[str, Any], owner: tuple[int, int], epoch: int) -> Entry:
    uid, gid = owner
    if entry["kind"] == "directory":
        return Directory(entry["mode"], uid, gid, epoch)
    if entry["kind"] == "symlink":
        return Symlink(entry["mode"], uid, gid, epoch, (), entry["target"])
    content = _copied(store, entry) if entry["kind"] == "source" else store.content(entry["contents"].encode())
    return File(entry["mode"], uid, gid, epoch, (), content)


def _copied(store: Store, entry: Mapping[str, Any]) -> Content:
    """Copies the host file into the store. StageProblem if it changed since the build was planned."""
    path: KeyPath = (entry["at"], "source")
    rope = store.rope()
    digest = hashlib.sha256()
    try:
        with open(expanded(entry["source"]), "rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
                rope.write(data)
    except OSError as error:
        raise StageProblem(path, f"{entry['source']} cannot be read: {error.strerror}") from None
    content = rope.finish()
    if digest.hexdigest() != entry["sha256"]:
        raise StageProblem(path, f"{entry['source']} has changed while it was built", "build again")
    return content


def _id(store: Store, entry: Mapping[str, Any], key: str, ids: Mapping[str, int], lower: Sequence[Tree]) -> int:
    """Returns the ID of an owner: a number, a container's name, or a name in the root's passwd or group."""
    value = entry[key]
    if isinstance(value, int):
        return value
    if value in ("", "root"):
        return 0
    if value in ids:
        return ids[value]
    database = "passwd" if key == "uid" else "group"
    in_etc = [{path: node for path, node in tree.items() if path == "etc" or path.startswith("etc/")} for tree in lower]
    root = overlay({}, *in_etc)
    known = image_checks.ids_by_name(store, root, f"etc/{database}")
    if value not in known:
        message = f"{value!r} is neither a container of this spec nor in the root's /etc/{database}"
        raise StageProblem((entry["at"], key), message, suggestion(value, [*ids, *known]))
    return known[value]


def _topmost(lower: Sequence[Tree], path: str) -> Entry | None:
    return next((tree[path] for tree in reversed(lower) if path in tree), None)


def _enterable(mode: int) -> int:
    """Returns the mode of a directory for files of `mode`: with execute permission wherever there is any other."""
    for shift in (0, 3, 6):
        if mode >> shift & 0o7:
            mode |= 0o1 << shift
    return mode
