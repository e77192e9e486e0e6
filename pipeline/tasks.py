"""Tasks: actions become doit's task dictionaries. With `state` and `reporter` the only module that knows doit's words.

doit decides the order, runs independent tasks side by side and remembers what was built in this checkout; the store
remembers what was ever made. Neither knows the other: a task is up to date when the key of its action is the one it
last ran with, whatever the store holds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pipeline import formats, lock, publish, state
from pipeline.action import Action, closure
from pipeline.errors import BadInput, NodekilnError
from pipeline.plan import Plan, plan
from pipeline.project import CACHE, RESULTS, Project
from pipeline.reason import difference
from pipeline.reporter import Explained, LineReporter
from pipeline.schema import Problems
from pipeline.spec import Spec

Task = dict[str, Any]

CONFIG = {
    "backend": "sqlite3",
    "dep_file": f"{RESULTS}/.doit.db",
    "default_tasks": ["build"],
    "num_process": os.cpu_count() or 1,
    "par_type": "thread",
    "reporter": LineReporter,
    "verbosity": 2,
    "cleanforget": True,
}
"""DOIT_CONFIG of a dodo.py. Threads: what takes long here (hashing, compressing, reading) runs beside Python."""

RESOLVED = "NODEKILN_RESOLVED"
"""Set in the environment of a doit that was started again after it had written a lock."""


class Unlocked(NodekilnError):
    """A spec names something that its lock does not explain."""


class SameKey:
    """doit's `uptodate` for an action: true when the task last ran with the action's present key."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.reason = "never built here"

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        self.reason = difference(values, record(self.action)) if values else self.reason
        return values.get("key") == self.action.key

    def __repr__(self) -> str:
        return self.reason


def record(action: Action) -> dict[str, Any]:
    """What doit keeps of an action that ran: enough to say later why it would run again."""
    inputs = {needed.name: needed.key for needed in action.inputs}
    return {"key": action.key, "params": dict(action.params), "inputs": inputs}


def build(project: Project | None = None) -> Iterator[Task]:
    """`build`, `build:NAME` for every spec, `build:NAME:FORMAT` and `build:NAME:STAGE`."""
    project = project or Project(Path.cwd())
    state.install()
    signal.signal(signal.SIGTERM, _terminate)
    names = project.names()
    yield {"basename": "build", "actions": None, "task_dep": [f"build:{name}" for name in names], "doc": "every spec"}
    for name in names:
        loaded = project.load(name)
        if isinstance(loaded, Problems):
            yield _broken(name, loaded)
        else:
            yield from _spec_tasks(project, loaded)


def _spec_tasks(project: Project, spec: Spec) -> Iterator[Task]:
    basename = f"build:{spec.name}"
    doc = f"{', '.join(spec.build.formats)} of {project.path(spec.name)}"
    plans = [plan(spec, project.lock(spec.name), arch) for arch in spec.build.arch]
    group = {"basename": basename, "name": None, "doc": doc}
    asked = [_task_name(made, name) for made in plans for name in spec.build.formats]
    if any(made.missing for made in plans):
        yield group | {"task_dep": [f"{basename}:lock"]}
        yield _resolving(project, spec, plans)
        names = [_task_name(made, name) for made in plans for name in formats.names()]
        for name in names:
            yield _task(basename, name, _unlocked, [spec.name], ["lock"], "waits for the lock")
        return
    yield group | {"task_dep": [f"{basename}:{name}" for name in asked]}
    seen: set[str] = set()
    for made in plans:
        wanted = {name: made.format(name) for name in formats.names() if made.can(name)}
        for action in closure(*wanted.values()):
            name = _task_name(made, action.name)
            if name not in seen:
                seen.add(name)
                needs = [_task_name(made, needed.name) for needed in action.inputs]
                yield _stage(project, basename, name, action, needs)
        for name, action in wanted.items():
            yield _publishing(project, made, name, action)


def _task_name(made: Plan, name: str) -> str:
    """Several architectures keep their stages apart by a folder; a single one needs none."""
    return f"{made.arch}/{name}" if len(made.spec.build.arch) > 1 else name


def _task(basename: str, name: str, run: Callable[..., Any], args: list[Any], needs: list[str], doc: str) -> Task:
    return {
        "basename": basename,
        "name": name,
        "actions": [(explained, [run, *args])],
        "task_dep": [f"{basename}:{need}" for need in needs],
        "io": {"capture": False},  # doit swaps sys.stdout otherwise, which threads would see
        "doc": doc,
    }


def _stage(project: Project, basename: str, name: str, action: Action, needs: list[str]) -> Task:
    return _task(basename, name, _perform, [project, action], needs, _stage_doc(action)) | {
        "uptodate": [SameKey(action)]
    }


def _stage_doc(action: Action) -> str:
    return (action.stage.__doc__ or "").partition("\n")[0]


def _perform(project: Project, action: Action) -> dict[str, Any]:
    _, ran = action.perform(project.store)
    return record(action) | {"ran": ran}


def _publishing(project: Project, made: Plan, name: str, action: Action) -> Task:
    module = formats.find(name)
    folder = project.results(made.spec.name, made.arch if len(made.spec.build.arch) > 1 else "")
    targets = [f"{folder}/{made.spec.name}{suffix}" for suffix in module.SUFFIXES]
    doc = f"-> {', '.join(targets)}"
    task = _task(f"build:{made.spec.name}", _task_name(made, name), _publish, [project, made, name, action, folder],
                 [_task_name(made, action.name)], doc)
    return task | {"targets": targets, "uptodate": [SameKey(action)], "clean": True}


def _publish(project: Project, made: Plan, name: str, action: Action, folder: Path) -> dict[str, Any]:
    publish.publish(project, made, name, action, folder)
    return record(action) | {"ran": True}


def _resolving(project: Project, spec: Spec, plans: list[Plan]) -> Task:
    missing = [wanted for made in plans for wanted in made.missing]
    doc = f"resolve {len(missing)} names into {project.lock_path(spec.name)}"
    return _task(f"build:{spec.name}", "lock", _resolve, [project, spec.name, missing], [], doc)


def _resolve(project: Project, name: str, missing: list[lock.Wanted]) -> NoReturn:
    """Write the lock, then start doit again with the same words: the tasks that follow from a lock exist only now."""
    if os.environ.get(RESOLVED) == name:
        raise Unlocked(f"{project.lock_path(name)} has no entry for {missing[0]} although it was just resolved")
    with project.store.lock(f"resolve-{name}"):
        known = project.lock(name)
        rest = [wanted for wanted in missing if known.get(wanted) is None]
        lock.write(project.lock_path(name), known.updated(lock.resolve(rest, project.root / CACHE)))
    sys.stdout.flush()
    os.environ[RESOLVED] = name
    os.execv(sys.executable, [sys.executable, *sys.argv])


def _unlocked(name: str) -> NoReturn:
    raise Unlocked(f"specs/{name}.lock is not complete: run `doit lock:{name}`")


def _broken(name: str, problems: Problems) -> Task:
    def fail() -> NoReturn:
        raise problems

    return {"basename": f"build:{name}", "actions": [(explained, [fail])], "io": {"capture": False}, "doc": "cannot be read"}


def explained(run: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call `run` as a doit action; an error that a person can mend becomes a failure without a traceback."""
    try:
        return run(*args, **options)
    except NodekilnError as error:
        return Explained(str(error), isinstance(error, BadInput))


def _terminate(number: int, frame: object) -> NoReturn:
    """SIGTERM ends a build like an error does: doit writes its state, half-written files are dropped."""
    raise SystemExit(128 + number)
