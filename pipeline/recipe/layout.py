"""Layout of packages' files: all below usr/, whichever suite they come from (file-hierarchy(7); Debian, DEP 17).

Debian 12's packages have files in /bin, /sbin and /lib; since Debian 13 the same files are in /usr, and the root's
folders are links. Here a package's file is always in usr/, so that a recipe's patterns mean the same in both.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from pipeline.model.tree import Directory, Entry, File, Symlink, Tree, complete

ALIASES = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"})
"""Folders of the root that are links to those of the same name in usr/."""


def merged(path: str) -> str:
    """Returns the place of a package's file, or a pattern of them: usr/bin/sh for bin/sh."""
    first, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and first in ALIASES else path


def merged_tree(tree: Mapping[str, Entry]) -> Tree:
    """Returns the files of a package in their places; of two with one place, that below usr/ counts.

    Relative and absolute links lead to the same files as before. Links in the place of ALIASES stay.
    """
    result: dict[str, Entry] = {}
    for path in sorted(tree, key=lambda each: each.startswith("usr/")):
        entry = tree[path]
        if path in ALIASES and type(entry) is Directory:
            result[f"usr/{path}"] = entry
        elif type(entry) is Symlink:
            result[merged(path)] = entry._replace(target=_target(path, entry.target))
        else:
            moved = merged(entry.inode) if type(entry) is File else ""
            result[merged(path)] = entry._replace(inode=moved) if type(entry) is File and moved else entry
    return complete(result).ordered()


def relative(target: str, path: str) -> str:
    """Returns the text of a symlink at `path` to `target`: ../bin/busybox for sbin/init -> bin/busybox."""
    return posixpath.relpath("/" + target, "/" + posixpath.dirname(path))


def _target(path: str, target: str) -> str:
    """Returns the text of the link from `path` to `target` after both have moved."""
    leads_to = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target)).lstrip("/")
    if path in ALIASES or (merged(path), merged(leads_to)) == (path, leads_to):
        return target
    return f"/{merged(leads_to)}" if target.startswith("/") else relative(merged(leads_to), merged(path))
