"""Path resolution (path_resolution(7)): the entry of a tree that a path leads to, through symlinks and `..`."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping

from pipeline.model.tree import Directory, Entry, Symlink

MAX_SYMLINKS = 40
"""Maximum number of symlinks followed on one path (Linux)."""


class BelowMount(Exception):
    """A path leads below a mount point, whose contents are unknown before the node runs."""


def follow(tree: Mapping[str, Entry], path: str) -> Entry | None:
    """Returns the entry at `path`, symlinks followed inside the tree; None if there is none."""
    place = resolve(tree, path)
    return None if place is None else tree.get(place) or Directory(0o755, 0, 0, 0)


def resolve(
    tree: Mapping[str, Entry], path: str, mounted: Collection[str] = (), *, may_be_missing: bool = False
) -> str | None:
    """Returns `path` without symlinks and `..`, relative to the root of `tree`; None for a loop or a missing entry.

    mounted: mount points, as paths of the tree; BelowMount if the path leads through one. may_be_missing: also resolve
    paths to missing entries (as `realpath -m`).
    """
    pending, reached, links = [*reversed(path.split("/"))], "", 0
    while pending:
        step = pending.pop()
        if step in ("", "."):
            continue
        if step == "..":
            reached = posixpath.dirname(reached)
            continue
        place = f"{reached}/{step}" if reached else step
        if place in mounted:
            raise BelowMount(place)
        entry = tree.get(place)
        if type(entry) is Symlink:
            links += 1
            if links > MAX_SYMLINKS:
                return None
            reached = "" if entry.target.startswith("/") else reached
            pending += reversed(entry.target.split("/"))
        elif may_be_missing or (entry and (type(entry) is Directory or not any(pending))):
            reached = place
        else:
            rest = posixpath.join(place, *reversed([step for step in pending if step]))
            if any(is_within(rest, folder) for folder in mounted):  # runc creates missing mount points
                raise BelowMount(rest)
            return None
    return reached


def is_within(path: str, folder: str) -> bool:
    """Returns True for `folder` itself and for all paths below it."""
    return path == folder or path.startswith(f"{folder}/")
