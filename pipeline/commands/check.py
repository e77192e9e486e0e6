"""doit check: everything that is wrong with a spec, without building it."""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Sized
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.planning.check import CheckResult
    from pipeline.planning.plan import Plan

DOC = "say what is wrong with a spec, without building it"
PARAMS = [
    {"name": "json", "long": "json", "type": bool, "default": False, "help": "as JSON, for editors and CI"},
    {"name": "alone", "long": "alone", "type": bool, "default": False,
     "help": "do not ask the images (commands, capabilities, users, bind targets): they would be fetched"},
]  # fmt: skip


class InvalidValue(BadInput):
    """A spec has problems, and they have been printed."""


def run(project: Project, name: str, json: bool = False, alone: bool = False) -> None:
    """Print the problems and warnings of the spec; InvalidValue if there are problems."""
    _say(project, [name], json, alone)


def run_all(project: Project, json: bool = False, alone: bool = False) -> None:
    """Print the problems and warnings of every spec; InvalidValue if there are problems in any."""
    _say(project, project.names(), json, alone)


def _say(project: Project, names: list[str], json: bool, alone: bool) -> None:
    from pipeline.language.problem import Problems
    from pipeline.planning import check

    found = {name: _found(project, name, alone) for name in names}
    errors = [error for each in found.values() for error in each.errors]
    if json:
        say(jsons.dumps([row for each in found.values() for row in check.as_json(each)], indent=1))
    else:
        for name, each in found.items():
            for warning in each.warnings:
                say(f"warning: {warning}")
            verdict = _counted(each.errors, "error") if each.errors else "right"
            say(f"{project.path(name)}: {verdict}, {_counted(each.warnings, 'warning')}")
    if errors:
        problems = Problems(errors)
        raise InvalidValue("" if json else problems.shown() if sys.stderr.isatty() else str(problems))


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}" + "s" * (len(things) != 1)


def _found(project: Project, name: str, alone: bool) -> CheckResult:
    """What is wrong with a spec: by itself, as it is planned, and, unless it is looked at alone, in its images."""
    from pipeline.language.problem import Problems
    from pipeline.planning import check
    from pipeline.planning.plan import plan

    found = check.check(project.path(name))
    if found.errors:
        return found
    spec = project.load(name)
    try:
        made = [plan(spec, project.lock(name), arch) for arch in spec.build.arch]
    except Problems as problems:
        return check.merged(found, check.CheckResult(problems.problems, []))
    lacking = check.CheckResult([problem for each in made for problem in each.problems(*spec.build.formats)], [])
    if alone or any(each.images.missing for each in made):
        if not alone:
            mends = user_command(f"lock:{name}")
            say(f"{project.lock_path(name)} is not complete, so no image was asked: {mends}", error=True)
        return check.merged(found, lacking)
    return check.merged(found, lacking, *(_in_images(project, each) for each in made))


def _in_images(project: Project, made: Plan) -> CheckResult:
    """What the images say. Whether programs can start is wrong where they have to, and else a warning."""
    from pipeline import formats
    from pipeline.planning import check
    from pipeline.planning.unread_files import unread_files

    carried = dict.fromkeys(form for name in made.spec.build.formats for form in formats.carried(name))
    asked = dict.fromkeys(action for name in made.spec.build.formats for action in made.checks(name))
    found = check.examine(project.store, made.components, carried, asked)
    if not found.errors:
        found.warnings.extend(unread_files(project.store, made.spec, made.components))
    harmless = None if asked else check.examine(project.store, (), checks=made.container_checks)
    return check.merged(found, harmless=harmless)
