"""The docstrings of pipeline/: of modules, classes and functions, and those under constants and fields.

python -m tests.docstrings [COUNT]    prints COUNT of them (80), drawn with a fixed seed, to be read alone
"""

from __future__ import annotations

import ast
import random
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.project import ROOT

SEED = 42
HEADLESS = re.compile(r"(What|Whether|Who|Where|Of|Those|As)\b")
"""Openings of a clause that has no subject or no verb of its own."""


class Docstring(NamedTuple):
    package: str
    place: str
    name: str
    text: str


def docstrings() -> list[Docstring]:
    """Returns all docstrings, sorted by file and line."""
    found = []
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        where = path.relative_to(ROOT)
        for line, name, text in _of(ast.parse(path.read_text()), where.stem):
            found.append(Docstring(".".join(where.parts[1:-1]), f"{where}:{line}", name, text))
    return found


def _of(
    scope: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str
) -> Iterator[tuple[int, str, str]]:
    if text := ast.get_docstring(scope):
        yield getattr(scope, "lineno", 1), name, text
    for before, node in zip([None, *scope.body], scope.body, strict=False):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _of(node, node.name)
        elif isinstance(before, ast.Assign | ast.AnnAssign) and (text := _text(node)):
            yield node.lineno, ast.unparse(before).partition("=")[0].strip(), text


def _text(node: ast.stmt) -> str:
    """Returns the text of a statement that is nothing but a text; else an empty one."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def headless(package: str | None = None) -> list[Docstring]:
    """Returns the docstrings, of one package or of all, that open with such a clause."""
    return [each for each in docstrings() if HEADLESS.match(each.text) and package in (None, each.package)]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 80
    for number, each in enumerate(random.Random(SEED).sample(docstrings(), count), 1):
        print(f"{number}. {each.place} {each.name}\n    " + each.text.replace("\n", "\n    ") + "\n")


if __name__ == "__main__":
    main()
