"""Execute: the actions of a build's tasks. Not imported for tasks that are up to date."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pipeline import formats
from pipeline.host.stamp import damage_token
from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.oci.error import ImageError
from pipeline.packages.error import PackagesUnavailable
from pipeline.planning import bills, lock
from pipeline.planning.signatures import Signatures, Signed
from pipeline.project import publish as publishing
from pipeline.project.build import perform
from pipeline.tasks import process, warnings
from pipeline.tasks.plan_cache import Step
from pipeline.tasks.spec_tasks import SpecTasks, record
from pipeline.writers import TooLarge

RESOLVED = "NODEKILN_RESOLVED"
"""Set in the environment of a doit that was started again after it had written a lock."""


class Unlocked(NodekilnError):
    """A spec names something that its lock does not explain."""


def stage(tasks: SpecTasks, step: Step) -> dict[str, Any]:
    """Performs the step's action, and returns what doit's state keeps of it."""
    action, damaged = tasks.action(step), damage_token(tasks.project.cache)
    store = tasks.project.store
    try:
        store.beyond.prepare(store, tasks.keys(step))
        ran, warned = perform(tasks.project, action)
    except ImageError as error:
        # a stage knows an image that is its input by its digest alone
        raise type(error)(f"{action.name}: {error}" if action.inputs else str(error)) from None
    except PackagesUnavailable as error:
        raise _all_unavailable(tasks, step, error) from None
    except TooLarge as error:
        raise BadInput(f"{error} ({', '.join(formats.carrying(error.size))} have room for it)") from None
    warnings.keep(warned)
    return record(action, damaged) | {"ran": ran}


def _all_unavailable(tasks: SpecTasks, step: Step, first: PackagesUnavailable) -> PackagesUnavailable:
    """Returns `first` with all other packages of the spec's lock that no archive has any more."""
    from pipeline.packages import unavailable

    known = {package.recipe for package in first.packages}
    others = [action.params for action in tasks.fetches(step) if action.params["recipe"] not in known]
    missing = [package for params in others for package in unavailable.missing(tasks.project.store, **params)]
    return PackagesUnavailable([*first.packages, *missing])


def publish(tasks: SpecTasks, step: Step) -> dict[str, Any]:
    """Writes the files of the step's format, and returns what doit's state keeps of it."""
    plan, action, damaged = tasks.plan(step), tasks.action(step), damage_token(tasks.project.cache)
    warnings.keep(map(str, plan.spec.warnings))
    files = publishing.publish(tasks.project, plan, step.format, action, Path(step.folder))
    return record(action, damaged) | {"ran": True, "files": files}


def resolve(steps: Sequence[tuple[SpecTasks, Step]]) -> NoReturn:
    """Writes the locks, then starts doit again with the same words: tasks that follow from a lock exist only now."""
    from pipeline.oci import http

    again = "; ".join([_locked(tasks, step) for tasks, step in steps])
    if os.environ.get(RESOLVED) == again:
        raise Unlocked(f"still not locked, although it was just resolved: {again}")
    os.environ[RESOLVED] = again
    os.environ[http.SILENT] = " ".join(http.silent)
    with lock.writing:  # other threads end with this process, in the middle of what they do
        process.repeat()


def _locked(tasks: SpecTasks, step: Step) -> str:
    """Resolves what the lock of its spec lacks for the format of a step, writes it, and returns a line about it."""
    project, name = tasks.project, tasks.name
    missing = tasks.missing(step)
    with project.store.lock(lock.update_lease(name)):
        known, evidence = project.signed(name)
        rest = [wanted for wanted in missing if known.get(wanted) is None]
        found = known.updated(lock.resolve(rest))
        if older := lock.downgrades(known, found):
            allows = user_command(f"lock:{name} --downgrade")
            raise Unlocked("\n".join([*older, f"older than what {project.lock_path(name)} has; {allows} takes them"]))
        project.write_signed(name, _signed(tasks, step, Signed(found, evidence)))
    if warning := lock.release_warning(found):
        say(f"warning: {project.lock_path(name)}: {warning}", error=True)
    return f"{name}: {', '.join(map(str, missing))}"


def _signed(tasks: SpecTasks, step: Step, known: Signed) -> Signed:
    """Returns a lock with the signatures and the bills of materials that the spec wants of its images.

    Untrusted; NoBill.
    """
    images = tasks.plan(step).images
    if images.sbom.places:
        known = bills.update(known, images.sbom)
    return Signatures(int(time.time())).update(known, images.required) if images.required else known
