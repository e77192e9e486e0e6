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

from pipeline import formats, lock, problem, publish, state
from pipeline.action import Action, closure
from pipeline.errors import BadInput, NodekilnError
from pipeline.plan import Plan, plan
from pipeline.project import CACHE, RESULTS, Project
from pipeline.reason import difference
from pipeline.reporter import Explained, LineReporter
from pipeline.problem import Problems, StageProblem, Warned
from pipeline.spec import Spec

Task = dict[str, Any]

def config() -> dict[str, Any]:
    """DOIT_CONFIG of a dodo.py; also makes doit's state safe and SIGTERM orderly.

    Threads: what takes long here (hashing, compressing, reading) runs beside Python.
    """
    state.install()
    signal.signal(signal.SIGTERM, _terminate)
    return {
        "backend": "sqlite3",
        "dep_file": f"{RESULTS}/.doit.db",
        "default_tasks": ["build"],
        "num_process": os.cpu_count() or 1,
        "par_type": "thread",
        "reporter": LineReporter,
        "verbosity": 2,
        "cleanforget": True,
    }


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
    names = project.names()
    yield {"basename": "build", "actions": None, "task_dep": [f"build:{name}" for name in names], "doc": "every spec"}
    for name in names:
        try:
            yield from _spec_tasks(project, project.load(name))
        except NodekilnError as error:
            yield from _broken(project, name, error)


def _spec_tasks(project: Project, spec: Spec) -> Iterator[Task]:
    plans = [plan(spec, project.lock(spec.name), arch) for arch in spec.build.arch]
    group = f"build:{spec.name}"
    asked = [f"{group}:{_task_name(made, name)}" for made in plans for name in spec.build.formats]
    doc = f"{', '.join(spec.build.formats)} of {project.path(spec.name)}"
    yield {"basename": group, "name": None, "task_dep": asked, "doc": doc}
    for made in plans:
        ready = {}
        for name in formats.names():
            if not made.can(name):
                continue
            if missing := made.missing(*spec.build.formats) if name in spec.build.formats else made.missing(name):
                yield from _unlocked(project, made, group, name, missing)
            else:
                ready[name] = made.format(name)
        yield from _plan_tasks(project, made, group, ready)


def _plan_tasks(project: Project, made: Plan, group: str, results: Mapping[str, Action]) -> Iterator[Task]:
    for action in closure(*results.values()):
        needs = [f"{group}:{_task_name(made, needed.name)}" for needed in action.inputs]
        doc = (action.stage.__doc__ or "").partition("\n")[0]
        task = _task(f"{group}:{_task_name(made, action.name)}", _perform, [project, action], needs, doc)
        yield task | {"uptodate": [SameKey(action)]}
    for name, action in results.items():
        folder = project.results(made.spec.name, made.arch if len(made.spec.build.arch) > 1 else "")
        targets = [f"{folder / made.spec.name}{suffix}" for suffix in formats.find(name).SUFFIXES]
        needs = [f"{group}:{_task_name(made, action.name)}"]
        arguments = [project, made, name, action, folder]
        task = _task(f"{group}:{_task_name(made, name)}", _publish, arguments, needs, f"-> {', '.join(targets)}")
        yield task | {"targets": targets, "uptodate": [SameKey(action)], "clean": True}


def _unlocked(project: Project, made: Plan, group: str, name: str, missing: list[lock.Wanted]) -> Iterator[Task]:
    """Tasks for a format as long as the lock lacks something: they resolve it and start doit again."""
    first = f"{group}:{_task_name(made, f'lock/{name}')}"
    yield _task(first, _resolve, [project, made.spec.name, missing], [], f"resolve {len(missing)} names")
    yield _task(f"{group}:{_task_name(made, name)}", _resolve, [project, made.spec.name, missing], [first], "once locked")


def _task_name(made: Plan, name: str) -> str:
    """Several architectures keep their stages apart by a folder; a single one needs none."""
    return f"{made.arch}/{name}" if len(made.spec.build.arch) > 1 else name


def _task(name: str, run: Callable[..., Any], arguments: list[Any], needs: list[str], doc: str) -> Task:
    """A subtask; its group is what stands before the last colon of its first two (build:NODE:STAGE)."""
    group, _, rest = name.partition(":")
    spec, _, stage = rest.partition(":")
    return {
        "basename": f"{group}:{spec}",
        "name": stage,
        "actions": [(explained, [run, *arguments])],
        "task_dep": needs,
        "io": {"capture": False},  # doit swaps sys.stdout otherwise, which threads would see
        "doc": doc,
    }


def _perform(project: Project, action: Action) -> dict[str, Any]:
    with problem.listening() as heard:
        try:
            _, ran = action.perform(project.store)
        except StageProblem as found:
            raise BadInput(_located(action, found)) from None
    for warned in heard:
        sys.stderr.write(f"warning: {_located(action, warned)}\n")
    return record(action) | {"ran": ran}


def _located(action: Action, found: StageProblem | Warned) -> str:
    where = action.where(found.path) if action.where else action.name
    return f"{where}: {found.message}" + (f" ({found.hint})" if found.hint else "")


def _publish(project: Project, made: Plan, name: str, action: Action, folder: Path) -> dict[str, Any]:
    publish.publish(project, made, name, action, folder)
    return record(action) | {"ran": True}


def _resolve(project: Project, name: str, missing: list[lock.Wanted]) -> NoReturn:
    """Write the lock, then start doit again with the same words: the tasks that follow from a lock exist only now."""
    path = project.lock_path(name)
    with project.store.lock(f"resolve-{name}"):
        known = project.lock(name)
        rest = [wanted for wanted in missing if known.get(wanted) is None]
        lock.write(project.root / path, known.updated(lock.resolve(rest, project.cache)))
    again = f"{name}: {', '.join(map(str, missing))}"
    if os.environ.get(RESOLVED) == again:
        raise Unlocked(f"{path} still lacks {missing[0]} although it was just resolved")
    sys.stdout.flush()
    os.environ[RESOLVED] = again
    os.execv(sys.executable, [sys.executable, *sys.argv])


def _broken(project: Project, name: str, error: NodekilnError) -> Iterator[Task]:
    """Tasks that say what is wrong with a spec, under every name that somebody may ask for."""

    def fail() -> NoReturn:
        raise error

    group = f"build:{name}"
    yield {"basename": group, "name": None, "task_dep": [f"{group}:check"], "doc": f"{project.path(name)} is wrong"}
    yield _task(f"{group}:check", fail, [], [], "says what is wrong")
    for format_name in formats.names():
        yield _task(f"{group}:{format_name}", fail, [], [f"{group}:check"], "when the spec is right")


def explained(run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call `run` as a doit action; an error that a person can mend becomes a failure without a traceback."""
    try:
        return run(*arguments, **options)
    except Problems as problems:
        return Explained(problems.shown() if sys.stderr.isatty() else str(problems), True)
    except NodekilnError as error:
        return Explained(str(error), isinstance(error, BadInput))


def _terminate(number: int, frame: object) -> NoReturn:
    """SIGTERM ends a build like an error does: doit writes its state, half-written files are dropped."""
    raise SystemExit(128 + number)
