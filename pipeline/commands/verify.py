"""doit verify: build everything again under other conditions, compare hashes, name the first difference."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.inspect.record import BuildRecord
    from pipeline.inspect.runs import Target
    from pipeline.planning.plan import Plan

DOC = "build again under other conditions, compare, explain what differs"
PARAMS = [
    {"name": "runs", "long": "runs", "type": int, "default": 2, "help": "how many runs, each under other conditions"},
    {"name": "full", "long": "full", "type": bool, "default": False, "help": "all conditions, one at a time too"},
    {"name": "formats", "long": "formats", "default": "", "help": "these formats, comma-separated, or 'all'"},
    {
        "name": "against",
        "long": "against",
        "default": "",
        "help": "an earlier build to be met: its folder, its manifest.json, or the reference that it was pushed to",
    },
    {"name": "json", "long": "json", "default": "", "help": "write the table to this file as JSON ('-': to stdout)"},
    {
        "name": "jobs",
        "long": "jobs",
        "type": int,
        "default": 0,
        "help": "how many runs go side by side (default: one for each processor, at most 4)",
    },
    {
        "name": "diffoscope",
        "long": "diffoscope",
        "type": bool,
        "default": True,
        "inverse": "no-diffoscope",
        "help": "have diffoscope explain a difference too, where it is installed",
    },
]
JOBS = 4
"""Runs side by side where nobody says it: each may need a GiB of memory, and a few of the disk."""


class NotReproducible(NodekilnError):
    """Runs disagree, or one could not be made."""


class OtherVersion(BadInput):
    """A record that this nodekiln cannot meet, because stages make other bytes by now."""


def run(
    project: Project, name: str, runs: int = 2, full: bool = False, formats: str = "", against: str = "",
    json: str = "", jobs: int = 0, diffoscope: bool = True,
) -> None:  # fmt: skip
    """Print the table; NotReproducible (exit code 1) unless every run made the same of every format."""
    from pipeline.inspect import conditions, report
    from pipeline.inspect import record as records
    from pipeline.inspect.runs import Verification, verify
    from pipeline.inspect.verdict import Verdict

    record = records.read(project.store, against) if against else None
    if record is not None:
        record.check()
    lock = record.lock if record and record.lock else project.root / project.lock_path(name)
    plans = _plans(project, name, lock)
    if record is not None:
        _refuse_other_versions(plans, record)
        _say_what_moved(project, name, record)
    verification = Verification(project, name, lock, _targets(project, name, plans, formats, record), diffoscope)
    verdict = Verdict(tuple(verification.targets), ())
    jobs = jobs or min(os.cpu_count() or 1, JOBS)
    for row in verify(verification, conditions.select(runs, full), record, jobs):
        verdict = verdict._replace(rows=(*verdict.rows, row))
        if json != "-":
            say("\n".join(verdict.last_lines()))
    if json == "-":
        say(report.json_text(verdict.report()), end="")
    else:
        say("\n".join(["", *verdict.report().tables[0].lines()]))
        if json:
            Path(json).write_text(report.json_text(verdict.report()))
    if verdict.agreeing < verdict.all:
        raise NotReproducible(f"{name}: {verdict}")
    if json != "-":
        say(f"{name}: {verdict}")


def _plans(project: Project, name: str, lock: Path) -> dict[str, Plan]:
    from pipeline.planning.lock import read
    from pipeline.planning.plan import plan

    spec = project.load(name)
    return {arch: plan(spec, read(lock), arch) for arch in spec.build.arch}


def _targets(
    project: Project, name: str, plans: dict[str, Plan], asked: str, record: BuildRecord | None
) -> dict[str, Target]:
    """What is built, by what the table calls it. `all`: what the lock explains; else the record's, or the spec's."""
    from pipeline.inspect.runs import Target

    found: dict[str, Target] = {}
    for arch, made in plans.items():
        if record is not None and arch not in record.manifests:
            continue
        meant = list(record.manifests[arch]["formats"]) if record else made.spec.build.formats
        folder = arch if len(plans) > 1 else ""
        for each in _chosen(project, made, asked, meant):
            title = f"{folder}/{each}" if folder else each
            found[title] = Target(each, arch, f"build:{name}:{title}", folder)
    if not found:
        recorded = f"{record.name} is for {', '.join(record.manifests)}, " if record else ""
        raise BadInput(f"{name}: nothing to build: {recorded}{project.path(name)} for {', '.join(plans)}")
    return found


def _chosen(project: Project, made: Plan, asked: str, otherwise: list[str] | tuple[str, ...]) -> Iterator[str]:
    """The formats that are meant and can be built. What `all` leaves out is said, with the reason."""
    from pipeline import formats

    every = dict.fromkeys((*formats.names(), *otherwise))  # compressed disks only where the spec asks for them
    wanted = every if asked == "all" else asked.split(",") if asked else otherwise
    if unknown := [each for each in wanted if not formats.known(each)]:
        raise BadInput(f"there is no format {unknown[0]!r} (there are {', '.join(formats.names())})")
    path = project.lock_path(made.spec.name)
    overwritten = {one: other for one, other, _ in formats.clashes(wanted)}
    for each in wanted:
        if asked == "all" and each in overwritten:
            say(f"{each} ({made.arch}) is left out: its file has the name of {overwritten[each]}'s", error=True)
            continue
        try:
            missing = made.missing(each)
        except BadInput as error:  # a format that this node cannot have
            if asked != "all":
                raise
            say(f"{each} ({made.arch}) is left out: {error}", error=True)
            continue
        if not missing:
            yield each
        elif asked == "all":
            say(f"{each} ({made.arch}) is left out: {path} lacks {missing[0]}", error=True)
        else:
            raise NodekilnError(f"{path} lacks {missing[0]}: run {user_command(f'lock:{made.spec.name}')}")


def _refuse_other_versions(plans: dict[str, Plan], record: BuildRecord) -> None:
    """OtherVersion, with the stages, rather than a table of differences that have to be."""
    from pipeline import formats
    from pipeline.inspect.record import version_changes

    lines = {
        line: None
        for arch, made in plans.items()
        for form, entry in record.manifests.get(arch, {}).get("formats", {}).items()
        if formats.known(form)
        for line in version_changes(entry, made.format(form))
    }
    if lines:
        makers = {str(manifest.get("nodekiln", "another version")) for manifest in record.manifests.values()}
        maker = ", ".join(sorted(makers))
        raise OtherVersion("\n".join([f"{record.name} can be met by nodekiln {maker}, not by this one:", *lines]))


def _say_what_moved(project: Project, name: str, record: BuildRecord) -> None:
    """Name the spec's files (and the lock, unless it came with the record) that are not what the record was made from.

    They may come to the same all the same, so this is no error.
    """
    from pipeline.model.digest import Digest

    lock = str(project.lock_path(name))
    here = {str(file) for file in project.load(name).files} | ({lock} if not record.lock else set())
    for manifest in record.manifests.values():
        then = {**manifest.get("spec", {}), lock: manifest.get("lock")}
        for file in sorted(here | set(manifest.get("spec", {}))):
            path = project.root / file
            if then.get(file) != (Digest.of(path.read_bytes()) if path.exists() else None):
                say(f"{file} is not what {record.name} was made from", error=True)
