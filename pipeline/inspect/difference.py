"""Difference: a place where two results are unequal, as a path through structures: partition, archive, file, field."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.host.redact import DIGITS, redact
from pipeline.host.terminal import printable
from pipeline.model import json_difference
from pipeline.model.json_difference import ABSENT
from pipeline.model.tree import parent
from pipeline.readers import HEADER, Listing, Node, StructureListing, look_into
from pipeline.readers.view import DecompressionError, View, first_unequal, sha256

TEXT_LIMIT = 4 << 20
"""Maximum size, in bytes, of a file whose lines are compared."""
SHOWN = 160
"""Maximum length of a value, in characters."""
BYTES_SHOWN = 16
NOTHING = "(nothing)"
DEEPEST = 16
"""Maximum nesting of structures: a file can be made to contain itself."""
OWN_WORDS = ("section",)
"""Kinds of nodes whose paths do not describe them."""


class Difference(NamedTuple):
    """One field with two values.

    steps: the path from the outermost structure to the innermost: `disk`, `partition 1`, `FAT`, `initrd.img`, …
    field: `mtime`, `line 3`, `byte 512`. left, right: its values as text.
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
    """Yields where `left` and `right` differ, causes before consequences; nothing if they are equal. Lazy."""
    at = first_unequal(left, right)
    if at is None:
        return
    ours, theirs = (look_into(left), look_into(right)) if len(steps) < 2 * DEEPEST else (None, None)
    if ours is None or theirs is None or ours.structure != theirs.structure:
        yield from _unstructured(left, right, at, steps)
        return
    any_difference = False
    inside = (*steps, ours.structure)
    with contextlib.suppress(DecompressionError):  # then the bytes themselves are compared
        for difference in between(ours.listing, _aligned(ours.listing, theirs.listing), inside):
            any_difference = True
            yield difference
    if not any_difference:
        yield _bytes(left, right, at, inside)


def _aligned(left: Listing, right: Listing) -> Listing:
    """`right`, its archives renamed after those of the same subject in `left`: a new archive moves no other."""
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
    """Yields where two listings differ: entries, then the header; places only if nothing else differs."""
    any_difference = False
    for difference in _entries(left, right, steps):
        any_difference = True
        yield difference
    if not any_difference:
        for path in left:
            if path in right:
                yield from _fields(left[path].place, right[path].place, (*steps, path) if path else steps)


def _entries(left: Listing, right: Listing, steps: tuple[str, ...]) -> Iterator[Difference]:
    for path in dict.fromkeys([*left, *right]):
        if path != HEADER:
            yield from _nodes(left.get(path), right.get(path), path, steps)
    if HEADER in left and HEADER in right:
        yield from _fields(left[HEADER].properties, right[HEADER].properties, steps)


def _nodes(left: Node | None, right: Node | None, path: str, steps: tuple[str, ...]) -> Iterator[Difference]:
    node = left or right
    assert node is not None
    step = f"{node.kind} {path}" if node.kind in OWN_WORDS else path
    here = (*steps, step)
    if left is None or right is None or left.kind != right.kind:
        yield Difference((*steps, step + _subject(node)), "kind", _kind(left), _kind(right))
        return
    yield from _fields(left.properties, right.properties, here)
    if left.content is None or right.content is None or first_unequal(left.content, right.content) is None:
        return
    if _is_private(left) or _is_private(right):
        digests = (f"sha256:{sha256(view)[:DIGITS]}" for view in (left.content, right.content))
        yield Difference(here, "contents", *digests)
        return
    yield from differences(left.content, right.content, (*steps, step + _subject(left)))


def _is_private(node: Node) -> bool:
    """Returns True if the node's mode hides its contents from other users: then they are not shown either."""
    try:
        return node.kind == "file" and not int(str(node.properties.get("mode", "0444")), 8) & 0o004
    except ValueError:
        return False


def _kind(node: Node | None) -> str:
    if node is None:
        return NOTHING
    return f"{node.kind} of {node.content.size} bytes" if node.content is not None else node.kind


def _fields(left: Mapping[str, Any], right: Mapping[str, Any], steps: tuple[str, ...]) -> Iterator[Difference]:
    for field in dict.fromkeys([*left, *right]):
        if left.get(field) != right.get(field):
            yield Difference(steps, field, *(_shortened(str(side.get(field, NOTHING))) for side in (left, right)))


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def _subject(node: Node) -> str:
    """The directory that has all files of an archive, such as " (services/sshd)"; "" for anything else."""
    if node.kind != "archive" or node.content is None:
        return ""
    opened: StructureListing | None = look_into(node.content)
    folders = {parent(path) for path, node in opened.listing.items() if node.kind != "directory"} if opened else set()
    shared = os.path.commonpath(folders) if folders else ""
    return f" ({shared})" if shared else ""


def _unstructured(left: View, right: View, at: int, steps: tuple[str, ...]) -> Iterator[Difference]:
    """Compares views that no reader recognises, by JSON value, line or byte. at: the first unequal byte."""
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
    yield from list(json_differences(values[0], values[1], steps)) or [_bytes(left, right, at, steps)]


def _text(view: View) -> str | None:
    if view.size > TEXT_LIMIT:
        return None
    data = view.read(0, view.size)
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def _line(left: str, right: str, steps: tuple[str, ...]) -> Difference:
    """The first unequal line."""
    ours, theirs = left.splitlines(keepends=True), right.splitlines(keepends=True)
    number = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    if number is None:
        number = min(len(ours), len(theirs))
    values = [_shortened(lines[number].rstrip("\n") if number < len(lines) else NOTHING) for lines in (ours, theirs)]
    if values[0] == values[1]:  # the end of the line differs, or something invisible
        values = [_shortened(repr(lines[number])) for lines in (ours, theirs)]
    return Difference(steps, f"line {number + 1}", *values)


def _bytes(left: View, right: View, at: int, steps: tuple[str, ...]) -> Difference:
    return Difference(steps, f"byte {at}", *(view.read(at, BYTES_SHOWN).hex(" ") or NOTHING for view in (left, right)))


def json_differences(left: Any, right: Any, steps: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Yields where two JSON values differ; a field is a JSON pointer (RFC 6901). What may be a secret is a digest."""
    for change in json_difference.differences(redact(left), redact(right)):
        keys = (str(key).replace("~", "~0").replace("/", "~1") for key in change.path)
        yield Difference(steps, f"/{'/'.join(keys)}", *map(_json, (change.before, change.now)))


def _json(value: Any) -> str:
    return NOTHING if value is ABSENT else _shortened(json.dumps(value))
