"""doit check: everything that is wrong with a spec, without building it."""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.language.problem import Problem
    from pipeline.planning.check import CheckResult
    from pipeline.planning.plan import Plan


class SpecErrors(BadInput):
    """A spec has problems, and they have been printed."""


@command(
    "print what is wrong with a spec, without building it",
    json="as JSON, for editors and CI",
    alone="do not ask the images (commands, capabilities, users, bind targets): they would be fetched",
)
def run(project: Project, names: Sequence[str], json: bool = False, alone: bool = False) -> None:
    """Prints the problems and warnings of specs; SpecErrors if there are problems in any."""
    from pipeline.language.problem import Problems
    from pipeline.planning import check

    results = {name: _check(project, name, alone) for name in names}
    errors = [error for result in results.values() for error in result.errors]
    if json:
        say(jsons.dumps([row for result in results.values() for row in check.as_json(result)], indent=1))
    else:
        for name, result in results.items():
            for warning in result.warnings:
                say(f"warning: {warning}")
            verdict = _counted(result.errors, "error") if result.errors else "right"
            say(f"{project.path(name)}: {verdict}, {_counted(result.warnings, 'warning')}")
    if errors:
        problems = Problems(errors)
        raise SpecErrors("" if json else problems.shown() if sys.stderr.isatty() else str(problems))


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}" + "s" * (len(things) != 1)


def _check(project: Project, name: str, alone: bool) -> CheckResult:
    """Checks a spec by itself, its plans, and, unless `alone`, its images."""
    from pipeline.language.problem import Problems
    from pipeline.planning import check

    result = check.check(project.path(name))
    if result.errors:
        return result
    try:
        plans = [target.plan for target in project.targets(name)]
    except Problems as problems:
        return check.merged(result, check.CheckResult(problems.problems, []))
    errors = [problem for plan in plans for problem in plan.problems(*plan.spec.build.formats)]
    lacking = check.CheckResult(errors, [warning for plan in plans for warning in _old_roots(plan)])
    if alone or any(plan.images.missing for plan in plans):
        if not alone:
            mends = user_command(f"lock:{name}")
            say(f"{project.lock_path(name)} is not complete, so no image was asked: {mends}", error=True)
        return check.merged(result, lacking)
    return check.merged(result, lacking, *(_in_images(project, plan) for plan in plans))


def _old_roots(plan: Plan) -> list[Problem]:
    if plan.images.policy is None:
        return []
    from datetime import UTC, datetime

    from pipeline.planning import root_age

    return root_age.warnings(plan.images.policy, datetime.now(UTC))


def _in_images(project: Project, plan: Plan) -> CheckResult:
    """Checks the images. A program that cannot start is an error where it has to start, else a warning."""
    from pipeline import formats
    from pipeline.planning import check
    from pipeline.planning.unread_files import unread_files

    carried = dict.fromkeys(form for name in plan.spec.build.formats for form in formats.carried(name))
    checks = dict.fromkeys(action for name in plan.spec.build.formats for action in plan.checks(name))
    result = check.examine(project.store, plan.components, carried, checks)
    if not result.errors:
        result.warnings.extend(unread_files(project.store, plan.spec, plan.components))
    harmless = None if checks else check.examine(project.store, (), checks=plan.container_checks)
    return check.merged(result, harmless=harmless)
