"""Globs over paths, and the selection of a package's files by them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from pipeline.model.tree import Directory, Tree, parents

_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|\{[^{}]*,[^{}]*\}|.", re.DOTALL)
_PARTS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@cache
def expression(glob: str) -> re.Pattern[str]:
    """Compiles `glob` for whole paths: `*` and `?` stay within a name, `**` crosses directories.

    `**/x` is x at any depth, at the root too; `x/**` is everything below x; `{x,y}` is x or y, which may be globs.
    """
    return re.compile(_regex(glob), re.DOTALL)


def matching(paths: Iterable[str], globs: Iterable[str]) -> list[str]:
    """Returns the `paths` that one of `globs` matches, in their order."""
    alternatives = "|".join(f"(?:{expression(glob).pattern})" for glob in globs)
    matches = re.compile(alternatives or r"(?!)", re.DOTALL).fullmatch
    return [path for path in paths if matches(path)]


def selected(tree: Tree, keep: Sequence[str], drop: Sequence[str]) -> Tree:
    """Returns the entries of `tree` that match `keep` (all, if it is empty) and do not match `drop`.

    A match of a directory includes its content. Directories above a selected entry are selected, too; the others only
    if they are empty in `tree`.
    """
    filled = {above for path in tree for above in parents(path)}
    wanted = _with_below(tree, matching(tree, keep)) if keep else set(tree)
    wanted -= _with_below(tree, matching(tree, drop))
    left = {path for path in wanted if type(tree[path]) is not Directory or path not in filled}
    left |= {above for path in left for above in parents(path)}
    return Tree((path, entry) for path, entry in tree.items() if path in left or not path).relinked()


def unmatched(globs: Sequence[str], paths: Sequence[str]) -> list[int]:
    """Returns the indexes of the `globs` that match none of `paths`."""
    return [number for number, glob in enumerate(globs) if not any(map(expression(glob).fullmatch, paths))]


def _with_below(tree: Iterable[str], paths: Iterable[str]) -> set[str]:
    """Returns `paths`, and the paths of the ordered `tree` below them."""
    result = set(paths)
    for path in tree:
        if path.rpartition("/")[0] in result and "/" in path:
            result.add(path)
    return result


def _regex(glob: str) -> str:
    return "".join(map(_translate, _GLOB.findall(glob)))


def _translate(part: str) -> str:
    if len(part) > 2 and part[0] == "[":
        start = 2 if part[1] == "!" else 1
        return ("[" if start == 1 else "[^/") + re.sub(r"[\\\[^]", r"\\\g<0>", part[start:-1]) + "]"
    if len(part) > 2 and part[0] == "{":
        return f"(?:{'|'.join(map(_regex, part[1:-1].split(',')))})"
    return _PARTS.get(part) or re.escape(part)
