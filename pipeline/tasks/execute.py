"""Perform: what the tasks of a build do when they run. Nothing of this is imported for tasks that are up to date."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pipeline import formats
from pipeline.engine.action import Action
from pipeline.host.stamp import damage_token
from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.language import problem
from pipeline.language.problem import SpecWarning, StageProblem
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.oci.error import ImageError
from pipeline.planning import lock
from pipeline.project import publish as publishing
from pipeline.recipe.error import PackagesUnavailable
from pipeline.tasks import warnings
from pipeline.tasks.plan_cache import Step
from pipeline.tasks.spec_tasks import SpecTasks, record
from pipeline.writers import TooLarge

RESOLVED = "NODEKILN_RESOLVED"
"""Set in the environment of a doit that was started again after it had written a lock."""


class Unlocked(NodekilnError):
    """A spec names something that its lock does not explain."""


def stage(planned: SpecTasks, step: Step) -> dict[str, Any]:
    """Perform the step's action; what doit keeps of it."""
    action, damaged = planned.action(step), damage_token(planned.project.cache)
    with problem.collect_warnings() as heard:
        try:
            _, ran = action.perform(planned.project.store)
        except StageProblem as found:
            raise BadInput("\n".join(_located(action, each) for each in found.problems)) from None
        except ImageError as error:
            # a stage knows an image that is its input by its digest alone
            raise type(error)(f"{action.name}: {error}" if action.inputs else str(error)) from None
        except PackagesUnavailable as error:
            raise _all_lost(planned, step, error) from None
        except TooLarge as found:
            raise BadInput(f"{found} ({', '.join(formats.carrying(found.size))} have room for it)") from None
    warnings.heard(_located(action, warned) for warned in heard)
    return record(action, damaged) | {"ran": ran}


def _all_lost(planned: SpecTasks, step: Step, first: PackagesUnavailable) -> PackagesUnavailable:
    """`first`, and what else the lock names for the spec that nobody has any more: so that one command mends it."""
    from pipeline.recipe import unavailable

    known = {each.recipe for each in first.packages}
    others = [action.params for action in planned.fetches(step) if action.params["recipe"] not in known]
    found = [each for params in others for each in unavailable.missing(planned.project.store, **params)]
    return PackagesUnavailable([*first.packages, *found])


def _located(action: Action, found: StageProblem | SpecWarning) -> str:
    where = action.where(found.path) if action.where else action.name
    return f"{where}: {found.message}" + (f" ({found.hint})" if found.hint else "")


def publish(planned: SpecTasks, step: Step) -> dict[str, Any]:
    """Write the files of the step's format; what doit keeps of it."""
    made, action, damaged = planned.plan(step), planned.action(step), damage_token(planned.project.cache)
    warnings.heard(map(str, made.spec.warnings))
    files = publishing.publish(planned.project, made, step.format, action, Path(step.folder))
    return record(action, damaged) | {"ran": True, "files": files}


def resolve(steps: Sequence[tuple[SpecTasks, Step]]) -> NoReturn:
    """Write the locks, then start doit again with the same words: the tasks that follow from a lock exist only now."""
    from pipeline.oci import http

    again = "; ".join([_locked(planned, step) for planned, step in steps])
    if os.environ.get(RESOLVED) == again:
        raise Unlocked(f"still not locked, although it was just resolved: {again}")
    sys.stdout.flush()
    os.environ[RESOLVED] = again
    os.environ[http.SILENT] = " ".join(http.silent)
    with lock.writing:  # other threads end with this process, in the middle of what they do
        os.execv(sys.executable, [sys.executable, *sys.argv])


def _locked(planned: SpecTasks, step: Step) -> str:
    """Resolve what the format of a step lacks in the lock of its spec, and write that; says what it was."""
    project, name = planned.project, planned.name
    missing = planned.missing(step)
    with project.store.lock(lock.update_lease(name)):
        known = project.lock(name)
        rest = [wanted for wanted in missing if known.get(wanted) is None]
        found = known.updated(lock.resolve(rest))
        if older := lock.downgrades(known, found):
            allows = user_command(f"lock:{name} --downgrade")
            raise Unlocked("\n".join([*older, f"older than what {project.lock_path(name)} has; {allows} takes them"]))
        lock.write(project.root / project.lock_path(name), found)
    if warning := lock.release_warning(found):
        say(f"warning: {project.lock_path(name)}: {warning}", error=True)
    return f"{name}: {', '.join(map(str, missing))}"
