"""doit size: what each byte of a node is for, as a table and as a map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host import atomic
from pipeline.host.terminal import printable, say
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.inspect.measure import Sizes
    from pipeline.planning.plan import Plan

DOC = "bytes by part, image, package and file; duplicates; a map in build/NAME/size.html"
PARAMS = [
    {"name": "json", "long": "json", "default": "", "help": "write everything to this file as JSON ('-': to stdout)"},
    {"name": "top", "long": "top", "type": int, "default": 10, "help": "packages, files and duplicates to show"},
]


def run(project: Project, name: str, json: str = "", top: int = 10) -> None:
    """Print the table and write build/NAME/size.html."""
    from pipeline.inspect import measure as sizes
    from pipeline.inspect import treemap
    from pipeline.planning.plan import plan

    spec = project.load(name)
    arches = spec.build.arch
    for arch in arches:
        made = plan(spec, project.lock(name), arch)
        measured = sizes.measure(project.store, made)
        folder = project.make(project.results(name, arch if len(arches) > 1 else ""))
        groups = [
            (part, [(file.path, file.size) for file in measured.files if file.part == part])
            for part in measured.by(lambda file: file.part)
        ]
        tables = [treemap.table(title, columns, rows) for title, columns, rows in _tables(measured, made, 10 * top)]
        atomic.write(folder / "size.html", treemap.page(f"{name} ({arch})", groups, tables))
        if json == "-":
            say(_document(measured), end="")
            continue
        if json:
            Path(json).write_text(_document(measured))
        for title, columns, rows in _tables(measured, made, top):
            say("\n".join(_lines(title, columns, rows)))
        say(f"\nthe map: {folder / 'size.html'}")


def _tables(measured: Sizes, made: Plan, top: int) -> Iterator[tuple[str, list[str], list[list[object]]]]:
    """Title, columns and rows of each table."""
    images = {file.part: file.image for file in measured.files}
    count = measured.by(lambda file: file.part)
    rows: list[list[object]] = []
    for part, size in count.items():
        packed = measured.compressed.get(part)
        share = f"{packed / size:.0%}" if packed is not None and size else ""
        rows.append([part, images[part], sum(file.part == part for file in measured.files), size, packed or "", share])
    rows.append(["all", "", len(measured.files), sum(count.values()), sum(measured.compressed.values()), ""])
    yield "parts", ["part", "image", "files", "bytes", "compressed", ""], rows
    packages = measured.by(lambda file: file.package or "(no package)")
    yield "packages", ["package", "bytes"], [[name, size] for name, size in list(packages.items())[:top]]
    files = sorted(measured.files, key=lambda file: (-file.size, file.path))[:top]
    yield "files", ["path", "package", "bytes"], [[file.path, file.package, file.size] for file in files]
    saving = sum(each.saving for each in measured.duplicates)
    equal: list[list[object]] = []
    for each in measured.duplicates[:top]:
        parts = ", ".join(dict.fromkeys(part for part, _ in each.places))
        equal.append([each.places[0][1].rpartition("/")[2], parts, each.size, each.saving])
    yield f"equal files in several parts: {saving:,} bytes", ["file", "in", "bytes", "saving"], equal


def _lines(title: str, columns: list[str], rows: list[list[object]]) -> list[str]:
    """A table as text: numbers to the right, with separators."""

    def shown(cell: object) -> str:
        return f"{cell:,}" if isinstance(cell, int) else printable(str(cell))

    cells = [columns, *(list(map(shown, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    number = [any(isinstance(row[column], int) for row in rows) for column in range(len(columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, number, strict=True)
        ).rstrip()
        for row in cells
    ]
    return ["", title, *(f"  {line}" for line in lines)]


def _document(measured: Sizes) -> str:
    import json

    said = {
        "files": [file._asdict() for file in measured.files],
        "compressed": measured.compressed,
        "duplicates": [each._asdict() | {"saving": each.saving} for each in measured.duplicates],
    }
    return json.dumps(said, indent=1) + "\n"
