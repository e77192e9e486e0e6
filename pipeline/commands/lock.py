"""doit lock: ask what every name of a spec means now, and write it down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.host.offline import go_offline
from pipeline.host.terminal import printable, say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.model.json_difference import ABSENT, differences
from pipeline.planning import lock
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.planning.plan import Plan
    from pipeline.spec.spec import Spec

DOC = "resolve tags and packages into specs/NAME.lock"
PARAMS = [
    {"name": "update", "long": "update", "default": "", "help": "ask again for these names, by commas (or 'all')"},
    {
        "name": "downgrade",
        "long": "downgrade",
        "type": bool,
        "default": False,
        "help": "let packages go back to older versions",
    },
    {"name": "check", "long": "check", "type": bool, "default": False, "help": "say what moved, write nothing"},
    {
        "name": "offline",
        "long": "offline",
        "type": bool,
        "default": False,
        "help": "ask layouts, archives and what was read before, and no network",
    },
]


SHOWN = 200
"""Characters of a config's field that are shown; a label may hold a whole document."""

NO_PACKAGE = {"version": "(none)", "sha256": "", "size": 0}
"""A package that a lock does not have."""


class Moved(NodekilnError):
    """`--check` found that a name means something else now."""


class Older(NodekilnError):
    """What names mean today is older than what is locked."""


class Subject(NamedTuple):
    """A spec's lock as it is, and the names that it has to explain."""

    name: str
    path: Path
    known: lock.Lock
    wanted: list[lock.LockRequest]


def run_all(
    project: Project, update: str = "", downgrade: bool = False, check: bool = False, offline: bool = False
) -> None:
    """The same for every spec; a name that several have is asked for once."""
    _run(project, project.names(), update, downgrade, check, offline)


def run(
    project: Project, name: str, update: str = "", downgrade: bool = False, check: bool = False, offline: bool = False
) -> None:
    """Resolve what specs/NAME.lock lacks, and `update` (names of the lock, or "all") anew.

    Older if a package would go back to an older version, unless `downgrade` allows it; nothing is written then.
    """
    _run(project, [name], update, downgrade, check, offline)


def _run(project: Project, names: Sequence[str], updates: str, downgrade: bool, check: bool, offline: bool) -> None:
    if offline:
        go_offline()
    subjects = [_subject(project, name) for name in names]
    if check:
        _check(project, subjects)
        return
    update = [each for each in updates.split(",") if each]
    _check_names(project, subjects, update)
    asked = {
        subject.name: [each for each in subject.wanted if subject.known.get(each) is None or _meant(each, update)]
        for subject in subjects
    }
    facts = dict(lock.resolve(dict.fromkeys(each for its in asked.values() for each in its)))
    if not downgrade:
        _check_newer(subjects, asked, facts, user_command(f"{_task(names)} --update {updates or 'all'} --downgrade"))
    for name, path, known, wanted in subjects:
        with project.store.lock(lock.update_lease(name)):
            found = project.lock(name).updated((each, facts[each]) for each in asked[name]).only(wanted)
            lock.write(project.root / path, found)
        for line in _moved(known, found):
            say(printable(line))
        say(f"{path}: {len(wanted)} names locked, {len(asked[name])} resolved now")
        if warning := lock.release_warning(found):
            say(f"warning: {path}: {warning}", error=True)


def _check_names(project: Project, subjects: Sequence[Subject], update: Sequence[str]) -> None:
    """BadInput if `update` has a name that no spec has."""
    wanted = [each for subject in subjects for each in subject.wanted]
    for name in update:
        if name != "all" and not any(_meant(each, [name]) for each in wanted):
            there = ", ".join(sorted({_short(each.name) for each in wanted}))
            specs = " ".join(str(project.path(subject.name)) for subject in subjects)
            raise BadInput(f"{specs} names no {name!r} (it names {there})")


def _check_newer(
    subjects: Sequence[Subject],
    asked: Mapping[str, Sequence[lock.LockRequest]],
    facts: Mapping[lock.LockRequest, Any],
    allows: str,
) -> None:
    """Older if what was resolved goes back behind what is locked. allows: the command that takes it nevertheless."""
    lines = []
    for name, path, known, _ in subjects:
        found = known.updated((each, facts[each]) for each in asked[name])
        lines += [f"{path}: {line}" for line in lock.downgrades(known, found)]
    if lines:
        why = "older than what is locked, so nothing was written (do the host's apt sources lack a suite?)"
        raise Older("\n".join([*lines, f"{why}; {allows} takes them"]))


def _task(names: Sequence[str]) -> str:
    return f"lock:{names[0]}" if len(names) == 1 else "lock"


def _check(project: Project, subjects: Sequence[Subject]) -> None:
    """Say what the locks say no more; Moved with what it is."""
    facts = dict(lock.resolve(dict.fromkeys(each for its in subjects for each in its.wanted)))
    told: list[str] = []
    for _, path, known, wanted in subjects:
        lines = [f"{each}: not locked" for each in wanted if known.get(each) is None]
        lines += map(printable, _moved(known, known.updated((each, facts[each]) for each in wanted)))
        if not lines:
            say(f"{path}: nothing moved")
        told += [f"{path}:", *lines] if lines and len(subjects) > 1 else lines
    if told:
        raise Moved("\n".join(told))


def _subject(project: Project, name: str) -> Subject:
    spec, known = project.load(name), project.lock(name)
    wanted = [each for arch in spec.build.arch for each in _plan_all(spec, known, arch).images.wanted]
    return Subject(name, project.lock_path(name), known, wanted)


def _meant(wanted: lock.LockRequest, update: Sequence[str]) -> bool:
    return not {"all", wanted.name, _short(wanted.name)}.isdisjoint(update)


def _plan_all(spec: Spec, known: lock.Lock, arch: str) -> Plan:
    """The plan, with the images that the formats it asks for need as well."""
    from pipeline.planning.plan import plan

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
    labels: dict[str, Any] = {"Labels": {}}
    for change in sorted(differences(labels | {**old}, labels | {**new}, lambda before, now: None)):
        field = ".".join(map(str, change.path)).replace("Labels.", "label ", 1)
        yield f"{field}: {_shown(change.before)} -> {_shown(change.now)}"


def _shown(value: Any) -> str:
    """A value that an image gave, without its control characters."""
    text = "(none)" if value is ABSENT else json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _packages_moved(title: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    before = {package["name"]: package for package in old}
    after = {package["name"]: package for package in new}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, NO_PACKAGE), after.get(name, NO_PACKAGE)
        if was["sha256"] != now["sha256"]:
            yield f"{title}: {name} {was['version']} -> {now['version']}, {was['size']} -> {now['size']} bytes"
