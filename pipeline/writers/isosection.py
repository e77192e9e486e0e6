"""The content of an ISO 9660 file system, divided into sections that are laid out one by one.

A section (tree.sections) is laid out again only if its entries or its start change. A directory that has entries in
another section is a **spanning** directory: all such precede the sections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pipeline.model.columns import named
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Directory, Entry, File, Memoize, Sink, length, parent, sections
from pipeline.ondisk.iso9660 import BLOCK
from pipeline.writers import isodir
from pipeline.writers.isodir import Area, Where


class IsoSection(NamedTuple):
    """Entries, and the data about others that their layout needs."""

    start: int
    """Its first block."""
    entries: Mapping[str, Entry]
    spanning: Mapping[str, tuple[Entry, Sequence[Where]]]
    """Spanning directories among them, or that contain them, with their places, primary and Joliet's."""
    known: Mapping[str, int]
    """Files deduplicated against earlier sections -> their first block."""
    wanted: Sequence[str]
    """Files whose places other sections need."""


class SpanningDirectories(NamedTuple):
    """The spanning directories."""

    start: int
    paths: Sequence[str]
    entries: Mapping[str, Entry]
    """The directories of `paths`, their entries and parents; files without their bytes, unless they take several
    extents."""


class DirectoryIndex(NamedTuple):
    """Directories as one kind of reader sees them."""

    folders: Mapping[str, Sequence[tuple[str, str]]]
    """Directory -> its names and paths, in the form of isodir.Directories."""
    places: Mapping[str, Where]


class SectionedDisc(NamedTuple):
    """Everything, laid out."""

    parts: Sequence[Content]
    """The spanning directories, and the sections."""
    files: Mapping[str, Where]
    """Places of files that were requested, or are in spanning directories."""
    root: Sequence[Where]
    """For both kinds of readers."""
    directories: Digest
    """A name of what `described` returns."""
    described: Callable[[], Sequence[DirectoryIndex]]
    """For both: all directories."""
    end: int


def lay_out(tree: Mapping[str, Entry], keep: Memoize, how: str, start: int, wanted: Sequence[str]) -> SectionedDisc:
    """Lays out the ordered, complete `tree`, root included, from the block `start` on. keep: memoises a section's
    layout, under a name that starts with `how`. wanted: files whose places are requested."""
    rows = list(sections(tree))
    opened = _find_spanning(tree, rows, start)
    open_ones = f"{how} open {named(opened.entries, opened.start, opened.paths)}"
    outline, _ = keep(open_ones, partial(_lay_out_spanning, opened))
    needed = {path for path, entry in opened.entries.items() if type(entry) is File} | set(wanted)
    parts, files, block = list[Content](), dict[str, Where](), outline["end"]
    places, names = [dict(each) for each in outline["places"]], [outline["directories"]]
    described = [partial(keep, f"{open_ones} directories", partial(_list_directories, opened))]
    for row, (known, first) in zip(rows, _deduplicate(rows), strict=True):
        adjacent = {each for path in row if type(row[path]) is Directory for each in (path, parent(path))}
        section = IsoSection(
            block,
            row,
            {
                path: (tree[path], [where[path] for where in outline["places"]])
                for path in opened.paths
                if path in adjacent
            },
            {path: files[other][0] for path, other in known.items()},
            [path for path in row if path in needed or path in first],
        )
        name = f"{how} {named(row, section.start, section.spanning, section.known, section.wanted)}"
        result, content = keep(name, partial(_write_section, section))
        parts.append(content)
        block += length(content) // BLOCK
        files |= zip(section.wanted, result["files"], strict=True)
        for found, where in zip(places, result["places"], strict=True):
            found |= where
        names.append(result["directories"])
        described.append(partial(keep, f"{name} directories", partial(_list_directories, section)))
    files = {path: where for path, where in files.items() if path in needed}
    _, content = keep(f"{open_ones} {named({}, places, files)}", partial(_write_spanning, opened, places, files))
    root = [each[""] for each in places]
    return SectionedDisc([content, *parts], files, root, named({}, names), partial(_merge, described), block)


def _merge(described: Sequence[Callable[[], tuple[Any, Content]]]) -> list[DirectoryIndex]:
    whole = [DirectoryIndex({}, {}), DirectoryIndex({}, {})]
    for kept in described:
        for each, (folders, places) in zip(whole, kept()[0], strict=True):
            each.folders.update(folders)  # type: ignore[attr-defined]
            each.places.update(places)  # type: ignore[attr-defined]
    return whole


def _find_spanning(tree: Mapping[str, Entry], rows: Sequence[Mapping[str, Entry]], start: int) -> SpanningDirectories:
    above = {path: parent(path) for path in tree if path}
    paths = {above[path] for row in rows for path in row if path and above[path] not in row}
    around = {*paths, *map(parent, paths), *(path for path, folder in above.items() if folder in paths)}
    entries = {path: _outline(entry) for path, entry in tree.items() if path in around}
    return SpanningDirectories(start, [path for path in entries if path in paths], entries)


def _outline(entry: Entry) -> Entry:
    """Returns the entry without content that a record's size does not depend on, so that it may change."""
    if type(entry) is not File or length(entry.content) > isodir.LARGEST_EXTENT:
        return entry
    return entry._replace(content=())


def _area(some: IsoSection | SpanningDirectories) -> Area:
    """The section's directories that are not spanning, or those that are."""
    if isinstance(some, SpanningDirectories):
        tree, folders = dict(some.entries), list(some.paths)
    else:
        tree = {**{path: entry for path, (entry, _) in some.spanning.items()}, **some.entries}
        folders = [path for path in some.entries if type(tree[path]) is Directory and path not in some.spanning]
    names: dict[str, list[str]] = {path: [] for path in folders}
    for path in tree:
        if path and (listing := names.get(parent(path))) is not None:
            listing.append(path)
    return isodir.area(tree, names, some.start)


def _index(area: Area) -> list[DirectoryIndex]:
    return [
        DirectoryIndex(listings.folders, places) for listings, places in zip(area.listings, area.places, strict=True)
    ]


def _list_directories(some: IsoSection | SpanningDirectories, _: Sink) -> Any:
    return _index(_area(some))


def _lay_out_spanning(opened: SpanningDirectories, _: Sink) -> Any:
    area = _area(opened)
    return {"places": area.places, "end": area.end, "directories": named({}, *_index(area))}


def _write_spanning(
    opened: SpanningDirectories, places: Sequence[Mapping[str, Where]], files: Mapping[str, Where], out: Sink
) -> None:
    """Writes the spanning directories."""
    isodir.write(_area(opened), places, files, out)


def _deduplicate(rows: Sequence[Mapping[str, Entry]]) -> Iterator[tuple[dict[str, str], set[str]]]:
    """For each section: those of its files whose bytes an earlier one has, and the path that has them there; and those
    that have bytes for later ones."""
    first: dict[Content, tuple[int, str]] = {}
    known: list[dict[str, str]] = [{} for _ in rows]
    needed: list[set[str]] = [set() for _ in rows]
    for number, row in enumerate(rows):
        for path, entry in row.items():
            if type(entry) is File and entry.content:
                where, other = first.setdefault(entry.content, (number, path))
                if where != number:
                    known[number][path] = other
                    needed[where].add(other)
    yield from zip(known, needed, strict=True)


def _write_section(section: IsoSection, out: Sink) -> Any:
    """Writes a section: its directories, and the files that no earlier section has. Returns its places for
    SectionedDisc."""
    entries, area = section.entries, _area(section)
    blocks, block = {entries[path].content: at for path, at in section.known.items()}, area.end  # type: ignore[union-attr]
    stored: list[Content] = []
    files: dict[str, Where] = {}
    for path, entry in entries.items():
        if type(entry) is File and (size := length(entry.content)):
            if entry.content not in blocks:
                blocks[entry.content] = block
                block = isodir.check_blocks(block - (-size // BLOCK))
                stored.append(entry.content)
            files[path] = blocks[entry.content], size
    others = [{path: places[kind] for path, (_, places) in section.spanning.items()} for kind in range(2)]
    isodir.write(area, others, files, out)
    for content in stored:
        out.extend(content)
        out.zeros(-length(content) % BLOCK)
    outer = [{path: where for path, where in each.items() if not path or parent(path) in section.spanning}
             for each in area.places]  # fmt: skip
    wanted = [files.get(path, (0, 0)) for path in section.wanted]
    return {"files": wanted, "places": outer, "directories": named({}, *_index(area))}
