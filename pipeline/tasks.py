"""Tasks: actions become doit's task dictionaries. With `state` and `reporter` the only module that knows doit's words.

doit decides the order, runs independent tasks side by side and remembers what was built in this checkout; the store
remembers what was ever made. Neither knows the other: a task is up to date when the key of its action is the one it
last ran with, whatever the store holds.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from doit.task import dict_to_task

from pipeline import formats, lock, problem, publish, state
from pipeline.action import Action, closure
from pipeline.errors import BadInput, NodekilnError
from pipeline.plan import Plan, plan
from pipeline.problem import Problems, StageProblem, Warned
from pipeline.project import RESULTS, Project
from pipeline.reason import difference, summary
from pipeline.reporter import Explained, chosen
from pipeline.spec import Spec

Task = Any
"""doit's: it has no types."""

def config() -> dict[str, Any]:
    """DOIT_CONFIG of a dodo.py; also makes doit's state safe and SIGTERM orderly.

    Threads: what takes long here (hashing, compressing, reading) runs beside Python.
    """
    state.install()
    signal.signal(signal.SIGTERM, _terminate)
    gc.set_threshold(*COLLECT_RARELY)
    return {
        "backend": "sqlite3",
        "dep_file": f"{RESULTS}/.doit.db",
        "default_tasks": ["build"],
        "num_process": os.cpu_count() or 1,
        "par_type": "thread",
        "reporter": chosen(),
        "verbosity": 2,
        "cleanforget": True,
    }


RESOLVED = "NODEKILN_RESOLVED"
"""Set in the environment of a doit that was started again after it had written a lock."""


COLLECT_RARELY = (10_000, 50, 50)
"""Python's garbage collector: trees are very many small objects without cycles, and are read twice as fast so."""
DOIT_COMMANDS = ("run",)
"""Commands of ours that doit has too: there is `run:NODE`, but no `run` for all."""


class Unlocked(NodekilnError):
    """A spec names something that its lock does not explain."""


class SameKey:
    """doit's `uptodate` for an action: true when the task last ran with the action's present key.

    Printed by `doit info` as why it is not; `summary` says the same in fewer words.
    """

    def __init__(self, action: Action) -> None:
        self.action = action
        self.reason = self.summary = "never built here"

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        if values.get("key") == self.action.key:
            return True
        if values:
            now = record(self.action)
            self.reason, self.summary = difference(values, now), summary(values, now)
        return False

    def __repr__(self) -> str:
        return self.reason


def record(action: Action) -> dict[str, Any]:
    """What doit keeps of an action that ran: enough to say later why it would run again."""
    inputs = {needed.name: needed.key for needed in action.inputs}
    return {"key": action.key, "params": dict(action.params), "inputs": inputs}


def build() -> Iterator[Task]:
    """`build`, `build:NAME` for every spec, `build:NAME:FORMAT` and `build:NAME:STAGE`."""
    project = Project(Path.cwd())
    names = project.names()
    yield _group("build", [f"build:{name}" for name in names], "every spec in specs/")
    for name in names:
        try:
            yield from _spec_tasks(project, project.load(name))
        except NodekilnError as error:
            yield from _broken(project, name, error)


def _spec_tasks(project: Project, spec: Spec) -> Iterator[Task]:
    tasks: list[Task] = []
    asked: list[str] = []
    for arch in spec.build.arch:
        made = plan(spec, project.lock(spec.name), arch)
        asked += [_task_name(made, name) for name in spec.build.formats]
        ready = {}
        for name in formats.names() if _mentioned(spec.name) else spec.build.formats:
            given = name in spec.build.formats
            try:
                missing = made.missing(*(spec.build.formats if given else (name,)))
            except BadInput:
                if given:
                    raise
                continue  # a format that this node cannot have, and nobody asks for
            if missing:
                tasks += _unlocked(project, made, name, missing)
            else:
                ready[name] = made.format(name)
        tasks += _plan_tasks(project, made, ready)
    group = f"build:{spec.name}"
    doc = f"{', '.join(spec.build.formats)} of {project.path(spec.name)}"
    yield _group(group, _needed(tasks, asked), doc)
    for task in tasks:
        task.subtask_of = group
        yield task


def _mentioned(spec: str) -> bool:
    """Whether the command line may mean a format that the spec does not ask for: `build:NODE:tar`, `list --all`.

    For all others those formats have no tasks, which halves the start-up, and more for many specs.
    """
    starts = (f"build:{spec}:", f"{RESULTS}/{spec}/", "--all")
    return Path(sys.argv[0]).stem not in ("doit", "__main__") or any(word.startswith(starts) for word in sys.argv[1:])


def _needed(tasks: list[Task], asked: list[str]) -> list[str]:
    """The names of `asked` and of all that they depend on, in the order of `tasks`: what a spec's group runs."""
    needs = {task.name: task.task_dep for task in tasks}
    found: set[str] = set()
    todo = list(asked)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs[name]
    return [task.name for task in tasks if task.name in found]


def _plan_tasks(project: Project, made: Plan, results: Mapping[str, Action]) -> Iterator[Task]:
    for action in closure(*results.values()):
        needs = [_task_name(made, needed.name) for needed in action.inputs]
        doc = (action.stage.__doc__ or "").partition("\n")[0]
        name = _task_name(made, action.name)
        yield _task(name, _perform, [project, action], needs, doc, uptodate=[SameKey(action)])
    for name, action in results.items():
        folder = project.results(made.spec.name, made.arch if len(made.spec.build.arch) > 1 else "")
        suffixes = formats.find(name).SUFFIXES if made.spec["kernel"].image else ()  # without one, some are not made
        targets = [f"{folder / made.spec.name}{suffix}" for suffix in suffixes]
        arguments = [project, made, name, action, folder]
        needs = [_task_name(made, action.name)]
        facts = {"uptodate": [SameKey(action), _all_there], "targets": targets, "clean": True}
        yield _task(_task_name(made, name), _publish, arguments, needs, f"-> {', '.join(targets)}", **facts)


def _all_there(task: Any, values: Mapping[str, Any]) -> bool:
    """doit's `uptodate` for outputs: whether the files that were made are still there."""
    return all(Path(file).exists() for file in values.get("files", ()))


def _unlocked(project: Project, made: Plan, name: str, missing: list[lock.Wanted]) -> Iterator[Task]:
    """Tasks for a format as long as the lock lacks something: they resolve it and start doit again."""
    first = _task_name(made, f"lock/{name}")
    yield _task(first, _resolve, [project, made.spec.name, missing], [], f"resolve {len(missing)} names")
    yield _task(_task_name(made, name), _resolve, [project, made.spec.name, missing], [first], "once that is done")


def commands() -> Iterator[Task]:
    """What the modules of pipeline/commands do: `NAME` for all specs (or the whole project), `NAME:SPEC` for one.

    A module has DOC, PARAMS (doit's), `run(project, spec, **options)` for one spec, and may have
    `run_all(project, **options)` for the project, POSITIONAL, the parameter of `run_all` that takes words, and
    `names(project)`, what `run` is for where that is not specs.
    """
    project = Project(Path.cwd())
    for path in sorted(Path(__file__).with_name("commands").glob("[a-z]*.py")):
        yield from _command(project, path.stem, import_module(f"pipeline.commands.{path.stem}"))


def _command(project: Project, name: str, module: ModuleType) -> Iterator[Task]:
    facts = {"params": module.PARAMS, "uptodate": [False], "verbosity": 2}
    group = name not in DOIT_COMMANDS
    if group:
        run = getattr(module, "run_all", None) or partial(_for_all, run=module.run)
        yield _task(name, run, [project], [], module.DOC, **facts, pos_arg=getattr(module, "POSITIONAL", None))
    names = getattr(module, "names", Project.names)(project) if hasattr(module, "run") else ()
    for spec in names:
        task = _task(f"{name}:{spec}", module.run, [project, spec], [], f"{module.DOC}: {spec}", **facts)
        task.subtask_of = name if group else None  # keeps `doit list` short
        yield task


def _for_all(project: Project, run: Callable[..., None], **options: Any) -> None:
    for spec in project.names():
        run(project, spec, **options)


def _task_name(made: Plan, name: str) -> str:
    """build:NODE:STAGE; several architectures keep their stages apart by a folder."""
    folder = f"{made.arch}/" if len(made.spec.build.arch) > 1 else ""
    return f"build:{made.spec.name}:{folder}{name}"


def _task(name: str, run: Callable[..., Any], arguments: list[Any], needs: list[str], doc: str, **facts: Any) -> Task:
    actions = [(explained, [run, *arguments])]
    io = {"capture": False}  # doit swaps sys.stdout otherwise, which threads would see
    return dict_to_task({"name": name, "actions": actions, "task_dep": needs, "io": io, "doc": doc, **facts})


def _group(name: str, needs: list[str], doc: str) -> Task:
    task = dict_to_task({"name": name, "actions": None, "task_dep": needs, "doc": doc})
    task.has_subtask = True
    return task


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
    for warned in made.spec.warned:
        sys.stderr.write(f"warning: {warned}\n")
    files = publish.publish(project, made, name, action, folder)
    return record(action) | {"ran": True, "files": files}


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

    group, first = f"build:{name}", f"build:{name}:spec"
    yield _group(group, [first], f"{project.path(name)} is wrong")
    for task in [
        _task(first, fail, [], [], "says what is wrong"),
        *(_task(f"{group}:{each}", fail, [], [first], "when the spec is right") for each in formats.names()),
    ]:
        task.subtask_of = group
        yield task


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
