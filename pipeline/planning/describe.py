"""Descriptions of specs, recipes and formats, made from the classes that define them: pages of docs/reference and the
JSON Schema. `python -m tests.manual` writes them.

The meaning of a key is the text under its field, which only the source has (PEP 258, attribute docstrings).
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import formats, sections
from pipeline.language.kinds import Either, ListOf, MapOf
from pipeline.language.reader import Define, Kind
from pipeline.language.schema import Struct, fields, is_mapping, kind
from pipeline.packages.sources import Source
from pipeline.recipe.recipe import Build, OwnFile
from pipeline.trust.policy import Rules

SCHEMA = Path("specs/schema.json")
SOURCES_SCHEMA = Path("specs/sources.schema.json")
TRUST_SCHEMA = Path("specs/trust.schema.json")
RECIPE_SCHEMA = Path("specs/recipe.schema.json")
MANUAL = Path("docs/reference/spec.md")
RECIPES = Path("docs/reference/recipe.md")
FORMATS = Path("docs/reference/formats.md")
PACKAGES = Path("docs/reference/packages.md")
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec. It takes what the reader takes, but for what the reader checks across
    values: that names are different, that what is named exists, that keys fit each other."""
    definitions, define = _definitions()
    properties = {
        name: section.kind.json(define) | {"description": _summary(name)}
        for name, section in sections.sections().items()
    }
    return {
        "$schema": DRAFT,
        "title": "nodekiln spec",
        "description": "What a node is made of. docs/reference/spec.md says more.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": dict(sorted(definitions.items())),
    }


def sources_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a sources.yml, with the same limits as that of a spec."""
    definitions, define = _definitions()
    return {
        "$schema": DRAFT,
        "title": "nodekiln sources",
        "description": "Where packages come from, by release. docs/reference/packages.md says more.",
        **kind(Mapping[str, tuple[Source, ...]]).json(define),
        "$defs": definitions,
    }


def trust_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a specs/trust.yml, with the same limits as that of a spec."""
    definitions, define = _definitions()
    return {
        "$schema": DRAFT,
        "title": "nodekiln trust",
        "description": "Who must have signed images. docs/how-to/trust.md says more.",
        **kind(Rules).json(define),
        "$defs": dict(sorted(definitions.items())),
    }


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a build.yml, with the same limits as that of a spec."""
    definitions, define = _definitions()
    return {
        "$schema": DRAFT,
        "title": "nodekiln recipe",
        "description": "An image made of Debian packages. docs/reference/recipe.md says more.",
        **kind(Build).json(define),
        "$defs": dict(sorted(definitions.items())),
    }


def _definitions() -> tuple[dict[str, Any], Define]:
    """An empty table of definitions, and the function that adds classes to it."""
    definitions: dict[str, Any] = {}

    def define(record: type) -> dict[str, Any]:
        if record.__name__ not in definitions:
            definitions[record.__name__] = {}
            definitions[record.__name__] = _object(record, define)
        return {"$ref": f"#/$defs/{record.__name__}"}

    return definitions, define


def _object(record: type, define: Any) -> dict[str, Any]:
    texts = meanings(record)
    schema: dict[str, Any] = {
        "type": "object",
        "description": _first(record.__doc__),
        "additionalProperties": False,
        "properties": {
            name: field.kind.json(define) | {"description": texts[field.name]} for name, field in fields(record).items()
        },
    }
    required = [name for name, field in fields(record).items() if field.required]
    return schema | ({"required": required} if required else {})


def meanings(record: type) -> Mapping[str, str]:
    """The text under each field of a class, those of its bases included."""
    texts: dict[str, str] = {}
    for base in reversed(record.__mro__):
        if is_mapping(base):
            texts |= _texts(base)
    return texts


def _texts(record: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr), f"{record}: {field.target.id}"
            assert isinstance(text.value, ast.Constant), f"{record}: {field.target.id}"
            texts[field.target.id] = " ".join(str(text.value.value).split())
    return texts


def manual() -> str:
    """docs/reference/spec.md."""
    lines = [INTRODUCTION.strip(), ""]
    shown: dict[str, type] = {}
    for name, section in sections.sections().items():
        lines += [f"## `{name}:`", "", _summary(name)[0].upper() + _summary(name)[1:] + ".", ""]
        value = section.kind
        records = list(_records(value))
        if len(records) == 1 and records[0].__name__ in shown:
            lines += [f"{_words(value)[0].upper()}{_words(value)[1:]}, as above.", ""]
            continue
        if isinstance(value, ListOf):
            lines += [f"{_words(value)[0].upper()}{_words(value)[1:]}.", ""]
        for record in _reachable(records):
            if record.__name__ not in shown:
                shown[record.__name__] = record
                lines += table(record, heading=record not in records or isinstance(value, ListOf))
    return "\n".join(lines).rstrip() + "\n"


def recipe_manual() -> str:
    """docs/reference/recipe.md."""
    lines = [RECIPE_INTRODUCTION.strip(), "", "## build.yml", "", *table(Build, heading=False)]
    lines += ["## OwnFile", "", str(OwnFile.__doc__), "", *table(OwnFile, heading=False)]
    return "\n".join(lines).rstrip().replace("(#config)", "(spec.md#container)") + "\n"


def table(record: type, heading: bool) -> Iterator[str]:
    """Yields the table of a class's keys, with its name and docstring above it if `heading`."""
    texts = meanings(record)
    if heading:
        yield from (f"### {record.__name__}", "", f"{record.__doc__}", "")
    yield from ("| key | value | |", "|---|---|---|")
    for name, field in fields(record).items():
        has_default = field.default and not isinstance(field.default, tuple)  # of a list, its text has it
        usual = " **Required.**" if field.required else f" Default: `{_default(field.default)}`." if has_default else ""
        yield f"| `{name}` | {_words(field.kind)} | {_escaped(texts[field.name])}{usual} |"
    yield ""


def _default(value: Any) -> str:
    """A default as YAML has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _words(value: Kind) -> str:
    """The values of a kind, for a reader; classes are links."""
    if isinstance(value, Struct):
        return f"[{value.type.__name__}](#{value.type.__name__.lower()})"
    if isinstance(value, ListOf):
        return f"list of {_words(value.item)}"
    if isinstance(value, MapOf):
        return f"mapping to {_words(value.item)}"
    if isinstance(value, Either):
        return " or ".join(_words(each) for each in value.kinds)
    return _escaped(re.sub(r"^an? (?!\()", "", value.expected))


def _records(value: Kind) -> Iterator[type]:
    """The classes that a kind names itself."""
    if isinstance(value, Struct):
        yield value.type
    elif isinstance(value, ListOf | MapOf):
        yield from _records(value.item)
    elif isinstance(value, Either):
        for each in value.kinds:
            yield from _records(each)


def _reachable(records: list[type]) -> list[type]:
    """`records` and every class below, each before those that it names."""
    classes: dict[type, None] = {}

    def visit(record: type) -> None:
        if record not in classes:
            classes[record] = None
            for field in fields(record).values():
                for each in _records(field.kind):
                    visit(each)

    for record in records:
        visit(record)
    return list(classes)


def _summary(section: str) -> str:
    """The first paragraph of a section's docstring, without its name and full stop."""
    return _first(sys.modules[f"{sections.__name__}.{section}"].__doc__).partition(": ")[2].rstrip(".")


def _first(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def formats_page(text: str) -> str:
    """docs/reference/formats.md, with its table of formats as it has to be."""
    every = [formats.find(name) for name in formats.names()]
    rows = [
        (each.name, ", ".join(f"`NAME{suffix}`" for suffix in each.produces), each.firmware.value, each.summary)
        for each in every
    ]
    return _with_table(text, "| format | files |", rows)


def packages(text: str) -> str:
    """docs/reference/packages.md, with its table of a source's keys as it has to be."""
    _, _, *rows = list(table(Source, heading=False))[:-1]
    return _with_table(text, "| key |", [tuple(row.strip("| ").split(" | ", 2)) for row in rows])


def _with_table(text: str, head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """`text` with `rows` in the table whose first line starts with `head`."""
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return re.sub(rf"^({re.escape(head)}.*\n\|[-|]+\|\n)(\|.*\n)*", rf"\g<1>{lines}", text, flags=re.MULTILINE)


def schema_text(schema: Mapping[str, Any]) -> str:
    """A JSON Schema as its file has it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


INTRODUCTION = """
# The spec language

Made from the program's own description of it by `python -m tests.manual`; do not edit.

A spec is a YAML file, `specs/NAME.yml`. Its language is LinuxKit's, so that LinuxKit's specs work as they are, and one
key of our own, `build:`. [linuxkit.md](../explanation/linuxkit.md) lists where the result differs, and why. Editors
complete and check specs with [schema.json](../../specs/schema.json), if their first line is
`# yaml-language-server: $schema=schema.json`.

**YAML** is read by version 1.2's rules: `no`, `on` and `22:22` are strings, `0644` is a number (write `"0644"`),
and nothing is converted: where a string is expected, `true` or `1` is an error. Unknown keys, duplicate keys, a second
document, tags and a byte order mark are errors. Anchors, aliases and `<<` work.

**Several files** make one spec: `specs/NAME.yml`, then what its `build.append` names, then `specs/NAME.d/*.yml` by
name. Lists of a section are joined in this order; in a mapping (`kernel:`, `build:`) the last to say something wins.

**A key that is left out** is not the same as an empty one: `binds: []` drops the binds that an image's label asks for.
`null` is an error.

**Images** are `name:tag`, `name@sha256:…`, `registry:port/name:tag`, `oci:DIR[:REF]`, `docker-archive:FILE`, or
`@pkg:images/NAME` for one that is built from a recipe here. What a tag means is written down in `specs/NAME.lock`.

**Order**: sections are laid over each other as they come below; of two files with one path, the later one is there.
"""

RECIPE_INTRODUCTION = """
# The recipe language

Made from the program's own description of it by `python -m tests.manual`; do not edit.

A recipe is a folder with a `build.yml`, which makes an image of files of Debian packages and of files beside it. A spec
names it by its folder: `@pkg:images/sshd`. No program of a package is run. YAML is read [as in specs](spec.md). Editors
complete and check recipes with [recipe.schema.json](../../specs/recipe.schema.json), if their first line is
`# yaml-language-server: $schema=PATH`.

```yaml
packages: [strace]
dependencies: libs
keep: [usr/bin/strace]
cmd: [/usr/bin/strace, -V]
```

**Libraries are not listed.** A recipe names packages with programs, and which of their files to keep. Shared libraries
(ELF `DT_NEEDED`), the dynamic linker (`PT_INTERP`), interpreters of scripts (`#!`) and targets of links come along out
of the packages and their dependencies, and nothing else does. What is needed and in no package is an error at the key
of the recipe. Libraries that a program opens by itself (`dlopen`: NSS, PAM, modules of Lua) are named in `keep`.

**One layout.** Packages of Debian 12 have files in `/bin`, `/sbin` and `/lib`; since Debian 13 all are in `/usr`. In an
image they are in `/usr` whichever suite they come from, and a pattern may be written either way. Other names are links:
that of the dynamic linker is made, and `symlinks: {usr/bin/busybox: [bin/sh]}` makes more. A container whose programs
expect the root's folders as Debian has them gets `files: [{path: bin, symlink: usr/bin}]`. An image under `init:` of a
spec must not have such a link: it shares the root with other images, whose folders would replace it.

**A pattern** matches whole paths: `*` and `?` stand for characters of a name, `**` for any number of directories,
`[ab]` for one of these characters, `{a,b}` for one of these patterns. One that matches nothing is an error in `keep`.

**A shared root**: of the images under `init:`, one has the C library (`images/init`). The others list it under
`provided`; `doit check` finds it missing if it is in none.
"""

PAGES: Mapping[Path, Callable[[str], str]] = {
    SCHEMA: lambda _: schema_text(json_schema()),
    SOURCES_SCHEMA: lambda _: schema_text(sources_schema()),
    TRUST_SCHEMA: lambda _: schema_text(trust_schema()),
    RECIPE_SCHEMA: lambda _: schema_text(recipe_schema()),
    MANUAL: lambda _: manual(),
    RECIPES: lambda _: recipe_manual(),
    FORMATS: formats_page,
    PACKAGES: packages,
}
"""Generated file -> its text now, out of the present one."""
