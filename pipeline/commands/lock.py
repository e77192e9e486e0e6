"""doit lock: ask what every name of a spec means now, and write it down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import lock
from pipeline.errors import BadInput, NodekilnError
from pipeline.plan import Plan, plan
from pipeline.project import Project
from pipeline.spec import Spec

DOC = "resolve tags and packages into specs/NAME.lock"
PARAMS = [
    {"name": "update", "long": "update", "default": "", "help": "ask again for this one name (or 'all')"},
    {"name": "check", "long": "check", "type": bool, "default": False, "help": "say what moved, write nothing"},
]


SHOWN = 200
"""Characters of a config's field that are shown; a label may hold a whole document."""

ABSENT = {"version": "(none)", "sha256": "", "size": 0}
"""A package that a lock does not have."""


class Moved(NodekilnError):
    """`--check` found that a name means something else now."""


def run(project: Project, name: str, update: str = "", check: bool = False) -> None:
    """Resolve what specs/NAME.lock lacks, and `update` (a name of the lock, or "all") anew."""
    spec = project.load(name)
    known = project.lock(name)
    wanted = [each for arch in spec.build.arch for each in _plan_all(spec, known, arch).images.wanted]
    if check:
        lacking = [f"{each}: not locked" for each in wanted if known.get(each) is None]
        moved = list(_moved(known, known.updated(lock.resolve(wanted, project.cache))))
        if lacking or moved:
            raise Moved("\n".join(lacking + moved))
        print(f"{project.lock_path(name)}: nothing moved")
        return
    asked = [each for each in wanted if known.get(each) is None or update in ("all", each.name, _short(each.name))]
    if update and update != "all" and not any(update in (each.name, _short(each.name)) for each in wanted):
        names = ", ".join(sorted({_short(each.name) for each in wanted}))
        raise BadInput(f"{project.path(name)} names no {update!r} (it names {names})")
    found = known.updated(lock.resolve(asked, project.cache)).only(wanted)
    lock.write(project.root / project.lock_path(name), found)
    for line in _moved(known, found):
        print(line)
    print(f"{project.lock_path(name)}: {len(wanted)} names locked, {len(asked)} resolved now")


def _plan_all(spec: Spec, known: lock.Lock, arch: str) -> Plan:
    """The plan, with the images that the formats it asks for need as well."""
    made = plan(spec, known, arch)
    made.missing(*spec.build.formats)
    return made


def _short(name: str) -> str:
    """The name as a spec may have written it: `docker.io/library/alpine:3.20` is `alpine:3.20` there."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def _moved(before: lock.Lock, now: lock.Lock) -> Iterator[str]:
    """What is to be said of every name whose meaning differs between two locks."""
    for name in sorted(before.images.keys() & now.images.keys()):
        old, new = before.images[name], now.images[name]
        for arch in sorted(old["platforms"].keys() & new["platforms"].keys()):
            yield from _image_moved(f"{name} ({arch})", old["platforms"][arch], new["platforms"][arch])
    for name in sorted(before.packages.keys() & now.packages.keys()):
        for arch in sorted(before.packages[name].keys() & now.packages[name].keys()):
            yield from _packages_moved(
                f"{name} ({arch})", before.packages[name][arch]["packages"], now.packages[name][arch]["packages"]
            )


def _image_moved(title: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["manifest"] == new["manifest"]:
        return
    sizes = [sum(layer["size"] for layer in facts["layers"]) for facts in (old, new)]
    same = sum(layer in old["layers"] for layer in new["layers"])
    config = "config as before" if old["config"] == new["config"] else "config changed"
    yield (
        f"{title}: {old['manifest'][:19]} -> {new['manifest'][:19]}, "
        f"{sizes[0]} -> {sizes[1]} bytes, {same} of {len(new['layers'])} layers as before, {config}"
    )
    if "facts" in old:  # locks did not always have them
        yield from (f"    {line}" for line in _fields(old["facts"], new["facts"]))


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """The fields of an image's config that differ, and how."""
    for field in sorted(old.keys() | new.keys()):
        if field == "Labels":
            yield from (f"label {line}" for line in _fields(old.get(field, {}), new.get(field, {})))
        elif old.get(field) != new.get(field):
            yield f"{field}: {_shown(old.get(field))} -> {_shown(new.get(field))}"


def _shown(value: Any) -> str:
    """A value that an image gave, without its control characters."""
    text = "(none)" if value is None else json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _packages_moved(title: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    before = {package["name"]: package for package in old}
    after = {package["name"]: package for package in new}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, ABSENT), after.get(name, ABSENT)
        if was["sha256"] != now["sha256"]:
            yield f"{title}: {name} {was['version']} -> {now['version']}, {was['size']} -> {now['size']} bytes"
