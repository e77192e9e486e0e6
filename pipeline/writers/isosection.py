"""What goes into an ISO 9660 file system, cut into sections that are laid out each by itself.

A section (tree.sections) need not be laid out again as long as nothing in it changes, nor where it starts. A directory
that has entries in another section is **open**: all such lie in front of the sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pipeline.digest import Digest
from pipeline.tree import Content, Directory, Entry, File, Keep, Sink, length, named, parent, sections
from pipeline.writers import isodir
from pipeline.writers.isodir import BLOCK, Area, Where


class Section(NamedTuple):
    """Some entries, and what must be known of others to lay them out."""

    start: int
    """Its first block."""
    entries: Mapping[str, Entry]
    open: Mapping[str, tuple[Entry, Sequence[Where]]]
    """The open directories that are among them, or that others are in; and where they are for both kinds of readers.
    """
    known: Mapping[str, int]
    """Those of its files whose bytes an earlier section has -> their first block."""
    wanted: Sequence[str]
    """Those of its files whose first block others ask for."""

    @property
    def name(self) -> Digest:
        """Names all of it."""
        return named(*self)


class Whole(NamedTuple):
    """All sections, and the open directories."""

    area: Area
    """The open directories."""
    entries: Mapping[str, Entry]
    """Those, what is in them, and the files that were asked for."""
    parts: Sequence[Content]
    """What the sections come to."""
    files: Mapping[str, int]
    """The first block of the files among these; 0 of empty ones."""
    folders: Sequence[Mapping[str, Sequence[tuple[str, str]]]]
    """For both kinds of readers, as in their Listings."""
    places: Sequence[Mapping[str, Where]]
    """For both: where each directory is."""
    end: int


def whole(tree: Mapping[str, Entry], keep: Keep, how: str, start: int, wanted: Sequence[str]) -> Whole:
    """Lay out the ordered, complete `tree`, root included, from the block `start` on. keep: makes what a section comes
    to, or knows it; `how` is said to it. wanted: files whose first block is asked for."""
    rows, above = list(sections(tree)), {path: parent(path) for path in tree if path}
    foreign = [{above[path] for path in row if path and above[path] not in row} for row in rows]
    opened: set[str] = set().union(*foreign)
    names: dict[str, list[str]] = {path: [] for path in tree if path in opened}
    for path, folder in above.items():
        if folder in opened:
            names[folder].append(path)
    inside = {path: tree[path] for each in (names, *names.values()) for path in each}
    inside |= {path: tree[path] for path in (*map(parent, names), *wanted)}
    area = isodir.area(inside, names, start)
    asked = {path for path, entry in inside.items() if type(entry) is File}
    parts, files, block = list[Content](), dict[str, int](), area.end
    folders = [dict(each.folders) for each in area.listings]
    places = [dict(each) for each in area.places]
    for row, (known, first) in zip(rows, _shared(rows), strict=True):
        near = {each for path in row if type(row[path]) is Directory for each in (path, parent(path))} & opened
        section = Section(
            block,
            row,
            {path: (tree[path], [where[path] for where in area.places]) for path in names if path in near},
            {path: files[other] for path, other in known.items()},
            [path for path in row if path in asked or path in first],
        )
        said, content = keep(f"{how} {section.name}", partial(_laid, section))
        parts.append(content)
        block += length(content) // BLOCK
        files |= zip(section.wanted, said["files"], strict=True)
        for all_folders, all_places, found, where in zip(folders, places, said["folders"], said["places"], strict=True):
            all_folders |= found
            all_places |= where
    return Whole(area, inside, parts, {path: files[path] for path in asked}, folders, places, block)


def _shared(rows: Sequence[Mapping[str, Entry]]) -> Iterator[tuple[dict[str, str], set[str]]]:
    """For each section: those of its files whose bytes an earlier one has, and the path that has them there; and those
    that have bytes for later ones."""
    first: dict[Content, tuple[int, str]] = {}
    known: list[dict[str, str]] = [{} for _ in rows]
    asked: list[set[str]] = [set() for _ in rows]
    for number, row in enumerate(rows):
        for path, entry in row.items():
            if type(entry) is File and entry.content:
                where, other = first.setdefault(entry.content, (number, path))
                if where != number:
                    known[number][path] = other
                    asked[where].add(other)
    yield from zip(known, asked, strict=True)


def _laid(section: Section, out: Sink) -> Any:
    """Write a section: its directories, and the files that no earlier section has. What Whole takes of it."""
    entries = section.entries
    names: dict[str, list[str]] = {
        path: [] for path, entry in entries.items() if type(entry) is Directory and path not in section.open
    }
    for path in entries:
        if path and (listing := names.get(parent(path))) is not None:
            listing.append(path)
    tree = {**{path: entry for path, (entry, _) in section.open.items()}, **entries}
    area = isodir.area(tree, names, section.start)
    blocks, block = {entries[path].content: at for path, at in section.known.items()}, area.end  # type: ignore[union-attr]
    stored: list[Content] = []
    files: dict[str, int] = {}
    for path, entry in entries.items():
        if type(entry) is File and (size := length(entry.content)):
            if entry.content not in blocks:
                blocks[entry.content] = block
                block += -(-size // BLOCK)
                stored.append(entry.content)
            files[path] = blocks[entry.content]
    others = [{path: places[kind] for path, (_, places) in section.open.items()} for kind in range(2)]
    isodir.write(area, tree, others, files, out)
    for content in stored:
        out.extend(content)
        out.zeros(-length(content) % BLOCK)
    folders = [each.folders for each in area.listings]
    return {"files": [files.get(path, 0) for path in section.wanted], "folders": folders, "places": area.places}
