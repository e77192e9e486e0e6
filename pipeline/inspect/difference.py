"""Difference: where two results are unequal, in words of what they are: partition, section, archive, path, field."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.host.redact import DIGITS, ENVIRONMENT, environment
from pipeline.host.terminal import printable
from pipeline.model.tree import parent
from pipeline.readers import HEADER, Listing, Node, StructureListing, look_into
from pipeline.readers.view import DecompressionError, View, first_unequal, sha256

TEXT_LIMIT = 4 << 20
"""Files up to this size are shown by line where they are text; nobody reads a line of a larger one."""
SHOWN = 160
"""Characters of a value that are shown."""
BYTES_SHOWN = 16
NOTHING = "(nothing)"
DEEPEST = 16
"""Structures inside each other. A file that is made to hold itself ends here."""
OWN_WORDS = ("section",)
"""Kinds of nodes whose paths do not tell what they are."""


class Difference(NamedTuple):
    """One field of one thing.

    steps: the way there, from the outside in: `disk`, `partition 1`, `FAT`, `initrd.img`, …
    field: `mtime`, `line 3`, `byte 512`; left, right: its two values as text.
    """

    steps: tuple[str, ...]
    field: str
    left: str
    right: str

    @property
    def way(self) -> str:
        return " → ".join([*self.steps, self.field])

    def __str__(self) -> str:
        return printable(f"{self.way}: {self.left} | {self.right}")


def differences(left: View, right: View, steps: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Where `left` and `right` differ, causes before consequences; nothing if they are equal. Found when asked for."""
    at = first_unequal(left, right)
    if at is None:
        return
    ours, theirs = (look_into(left), look_into(right)) if len(steps) < 2 * DEEPEST else (None, None)
    if ours is None or theirs is None or ours.structure != theirs.structure:
        yield from _plain(left, right, at, steps)
        return
    found = False
    inside = (*steps, ours.structure)
    with contextlib.suppress(DecompressionError):  # the bytes themselves are all that can be told then
        for difference in between(ours.listing, _aligned(ours.listing, theirs.listing), inside):
            found = True
            yield difference
    if not found:
        yield _bytes(left, right, at, inside)


def _aligned(left: Listing, right: Listing) -> Listing:
    """`right`, its archives called as those of the same subject in `left`: one that is new moves no other."""
    if len(left) == len(right) or not all(node.kind == "archive" for node in [*left.values(), *right.values()]):
        return right
    names: dict[str, list[str]] = {}
    for path, node in left.items():
        names.setdefault(_subject(node), []).append(path)
    aligned = {}
    for path, node in right.items():
        same = names.get(_subject(node))
        aligned[same.pop(0) if same else f"new {path}"] = node
    return aligned


def between(left: Listing, right: Listing, steps: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Where two listings differ: entries, then what is said of the whole; where things lie if nothing else does."""
    found = False
    for difference in _said(left, right, steps):
        found = True
        yield difference
    if not found:
        for path in left:
            if path in right:
                here = (*steps, path) if path else steps
                yield from _facts(left[path].place, right[path].place, here)


def _said(left: Listing, right: Listing, steps: tuple[str, ...]) -> Iterator[Difference]:
    for path in [*left, *(path for path in right if path not in left)]:
        if path != HEADER:
            yield from _nodes(left.get(path), right.get(path), path, steps)
    if HEADER in left and HEADER in right:
        yield from _facts(left[HEADER].facts, right[HEADER].facts, steps)


def _nodes(left: Node | None, right: Node | None, path: str, steps: tuple[str, ...]) -> Iterator[Difference]:
    node = left or right
    assert node is not None
    step = f"{node.kind} {path}" if node.kind in OWN_WORDS else path
    here = (*steps, step)
    if left is None or right is None or left.kind != right.kind:
        yield Difference((*steps, step + _subject(node)), "kind", _kind(left), _kind(right))
        return
    yield from _facts(left.facts, right.facts, here)
    if left.content is None or right.content is None or first_unequal(left.content, right.content) is None:
        return
    if _private(left) or _private(right):
        sums = [f"sha256:{sha256(content)[:DIGITS]}" for content in (left.content, right.content)]
        yield Difference(here, "contents", *sums)
        return
    yield from differences(left.content, right.content, (*steps, step + _subject(left)))


def _private(node: Node) -> bool:
    """Whether the node's mode keeps its contents from other users: then they are not shown either."""
    try:
        return node.kind == "file" and not int(str(node.facts.get("mode", "0444")), 8) & 0o004
    except ValueError:
        return False


def _kind(node: Node | None) -> str:
    if node is None:
        return NOTHING
    return f"{node.kind} of {node.content.size} bytes" if node.content is not None else node.kind


def _facts(left: Mapping[str, Any], right: Mapping[str, Any], steps: tuple[str, ...]) -> Iterator[Difference]:
    for field in [*left, *(field for field in right if field not in left)]:
        if left.get(field) != right.get(field):
            yield Difference(steps, field, _shown(left.get(field, NOTHING)), _shown(right.get(field, NOTHING)))


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def _subject(node: Node) -> str:
    """What an archive is about: the directory that all its files are in, " (services/sshd)" say; "" of all else."""
    if node.kind != "archive" or node.content is None:
        return ""
    opened: StructureListing | None = look_into(node.content)
    folders = {parent(path) for path, node in opened.listing.items() if node.kind != "directory"} if opened else set()
    shared = os.path.commonpath(folders) if folders else ""
    return f" ({shared})" if shared else ""


def _plain(left: View, right: View, at: int, steps: tuple[str, ...]) -> Iterator[Difference]:
    """What no reader knows, by JSON value, line or byte."""
    texts = [_text(view) for view in (left, right)]
    if texts[0] is None or texts[1] is None:
        if left.size != right.size:
            yield Difference(steps, "size", str(left.size), str(right.size))
        yield _bytes(left, right, at, steps)
        return
    try:
        values = [json.loads(text) for text in texts if text is not None]
    except ValueError:
        yield _line(texts[0], texts[1], steps)
        return
    found = list(json_differences(values[0], values[1], steps))
    yield from found or [_bytes(left, right, at, steps)]


def _text(view: View) -> str | None:
    if view.size > TEXT_LIMIT:
        return None
    data = view.read(0, view.size)
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _line(left: str, right: str, steps: tuple[str, ...]) -> Difference:
    ours, theirs = left.splitlines(keepends=True), right.splitlines(keepends=True)
    number = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    if number is None:
        number = min(len(ours), len(theirs))
    shown = [_shown(lines[number].rstrip("\n") if number < len(lines) else NOTHING) for lines in (ours, theirs)]
    if shown[0] == shown[1]:  # they differ in the end of the line, or in what cannot be seen
        shown = [_shown(repr(lines[number])) for lines in (ours, theirs)]
    return Difference(steps, f"line {number + 1}", *shown)


def _bytes(left: View, right: View, at: int, steps: tuple[str, ...]) -> Difference:
    return Difference(steps, f"byte {at}", *(view.read(at, BYTES_SHOWN).hex(" ") or NOTHING for view in (left, right)))


def json_differences(left: Any, right: Any, steps: tuple[str, ...], pointer: str = "") -> Iterator[Difference]:
    """Where two JSON values differ; the field is a JSON pointer (RFC 6901). Of variables of an environment (lists of
    NAME=VALUE), which may be secrets, the name is shown, and a digest of the value."""
    if pointer.rpartition("/")[2] in ENVIRONMENT and isinstance(left, list) and isinstance(right, list):
        left, right = (environment([str(each) for each in entries]) for entries in (left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        keys: list[Any] = [*left, *(key for key in right if key not in left)]
        pairs = [(str(key).replace("~", "~0").replace("/", "~1"), key in left, key in right, key) for key in keys]
    elif isinstance(left, list) and isinstance(right, list):
        longest = max(len(left), len(right))
        pairs = [(str(index), index < len(left), index < len(right), index) for index in range(longest)]
    else:
        if left != right or type(left) is not type(right):
            yield Difference(steps, pointer or "/", _shown(json.dumps(left)), _shown(json.dumps(right)))
        return
    for name, ours, theirs, key in pairs:
        if ours and theirs:
            yield from json_differences(left[key], right[key], steps, f"{pointer}/{name}")
        else:
            there = [_shown(json.dumps(side[key])) if has else NOTHING for side, has in ((left, ours), (right, theirs))]
            yield Difference(steps, f"{pointer}/{name}", *there)
