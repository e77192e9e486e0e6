"""Tasks: actions become doit's task dictionaries. With `state` and `reporter` the only module that knows doit's words.

doit decides the order, runs independent tasks side by side and remembers what was built in this checkout; the store
remembers what was ever made. Neither knows the other: a task is up to date when the key of its action is the one it
last ran with, whatever the store holds.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from doit import get_var
from doit.action import PythonAction
from doit.task import dict_to_task

from pipeline import formats
from pipeline.host.offline import go_offline
from pipeline.host.terminal import printable, say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project import results_state
from pipeline.project.project import RESULTS, SPECS, STATE, Project
from pipeline.tasks import crash, plan_cache, state, usage
from pipeline.tasks.plan_cache import Step
from pipeline.tasks.reporter import BAD_INPUT, chosen, explained
from pipeline.tasks.spec_tasks import SpecTasks
from pipeline.tasks.staleness import same

Task = Any
"""doit's: it has no types."""


def config() -> dict[str, Any]:
    """DOIT_CONFIG of a dodo.py; also makes doit's state safe, unexpected errors one line, SIGTERM and ^C orderly, and
    heeds `offline=1`.

    Threads: what takes long here (hashing, compressing, reading) runs beside Python.
    """
    crash.install()
    if (get_var(OFFLINE) or "0") != "0":
        go_offline()
    try:
        Project(Path.cwd()).check()
    except NodekilnError as error:
        say(error, error=True)
        raise SystemExit(BAD_INPUT) from None
    state.install()
    usage.install()
    if _words()[:1] and _words()[0] in LOOKING:  # they open no socket, and may end when nobody reads any more
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the shell has it ignored
        signal.signal(signal.SIGINT, _terminate)
    if _from_a_shell() and _words()[:1] in READ:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    gc.set_threshold(*COLLECT_RARELY)
    atexit.register(gc.freeze)  # what is left at the end goes with the process: to look for cycles in it takes 15 ms
    return {
        "backend": "sqlite3",
        "dep_file": f"{RESULTS}/{STATE}",
        "default_tasks": ["build"],
        "num_process": os.cpu_count() or 1,
        "par_type": "thread",
        "reporter": chosen(),
        "verbosity": 2,
        "cleanforget": True,
    }


READ = (["list"], ["info"], ["help"])
"""doit's commands that only print: they end when nobody reads any more, as in `doit list | head -1`."""
COLLECT_RARELY = (100_000, 50, 50)
"""Python's garbage collector: trees are very many small objects without cycles, and are read twice as fast so."""
OFFLINE = "offline"
"""doit's variable: `doit build:node offline=1`."""
GRACE = 1.0
"""Seconds that a run has to end in order after a signal."""
RESUMES = "interrupted: what is done is kept, and the next build resumes there\n"
LOOKING = ("list", "info", "help", "tabcompletion", "dumpdb")
"""doit's commands that only print."""
DOIT_COMMANDS = ("run",)
"""Commands of ours that doit has too: there is `run:NODE`, but no `run` for all."""


class SameKey:
    """doit's `uptodate` for a step: true when the task last ran with its action's present key.

    Printed by `doit info` as why it is not; `summary` says the same in fewer words.
    """

    def __init__(self, planned: SpecTasks, step: Step) -> None:
        self._planned, self._step = planned, step
        self.action = step.action
        self.reason = self.summary = "never built here"

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        if same(values, {"key": self._step.key, "damage": self._planned.project.damage}):
            return self._right()
        if values:
            self.reason, self.summary = self._planned.changed(self._step, values)
        return False

    def _right(self) -> bool:
        """Whether what it gave is as it was."""
        return True

    def __repr__(self) -> str:
        return printable(self.reason)


class SameFiles(SameKey):
    """The same for files in build/: true when they are, besides, as they were written."""

    def _right(self) -> bool:
        with results_state.lock:
            state = results_state.read(Path(self._step.folder))
            self.reason = self.summary = state.staleness(self._step.format, self._step.key)
        return not self.summary


class AllSame:
    """doit's `uptodate` for a group of formats, for `doit info` alone: true when all of them are up to date.

    Where a build runs, doit asks each of them itself.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._steps: list[tuple[SpecTasks, Step]] = []
        self._different: list[str] = []

    def add(self, planned: SpecTasks, steps: Iterable[Step]) -> None:
        self._steps += ((planned, step) for step in steps)

    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool | None:
        if _words()[:1] != ["info"]:
            return None
        saved = state.saved(self._project.root / RESULTS / state.NAME)
        for planned, step in self._steps:
            files = SameFiles(planned, step)
            if not (step.key and files(task, saved.get(step.task, {}))):
                self._different.append(f"{step.task}: {files.reason}")
        return not self._different

    def __repr__(self) -> str:
        return "; ".join(self._different)


def build() -> Iterator[Task]:
    """`build`, `build:NAME` for every spec, `build:NAME:FORMAT` and `build:NAME:STAGE`."""
    project = Project(Path.cwd())
    names = project.names()
    every = AllSame(project)
    yield _every(names, every)
    unlocked: list[tuple[SpecTasks, Step]] = []
    for name in names:
        try:
            yield from _spec_tasks(SpecTasks(project, name, _mentioned(name)), unlocked, every)
        except Exception as error:  # an unexpected one, too: other specs can be built all the same
            yield from _broken(project, name, error)


def _every(names: list[str], same: AllSame) -> Task:
    if names:
        return _group("build", [f"build:{name}" for name in names], "every spec in specs/", uptodate=[same])
    then = user_command("build:NAME")
    hint = f"there is no spec: write {SPECS}/NAME.yml (nodekiln's folder examples/ has some), then {then}"
    return _task("build", _refuse, [hint], [], hint)


def _spec_tasks(planned: SpecTasks, unlocked: list[tuple[SpecTasks, Step]], every: AllSame) -> Iterator[Task]:
    """unlocked: gets the steps that resolve what a lock lacks; if all specs are built, they are done as one.
    every: gets the steps of the formats that the spec asks for."""
    project, name = planned.project, planned.name
    memory = project.root / RESULTS / plan_cache.FOLDER / f"{name}{'+' if planned.extra else ''}.json"
    found = plan_cache.recall(memory, planned.extra, planned.cached_plan)
    group = f"build:{name}"
    same, asked = AllSame(project), [step for step in found.steps if step.task in found.asked and step.format]
    same.add(planned, asked)
    every.add(planned, asked)
    yield _group(group, found.asked, found.doc, uptodate=[same], clean=[_Cleaning(partial(_remove, project, name))])
    for step in found.steps:
        if step.problem:
            task = _task(step.task, _refuse, [step.problem], [], step.doc)
        elif not step.key:
            unlocked += [(planned, step)] * (not step.needs)
            together = unlocked if _builds_all() else [(planned, step)]
            task = _task(step.task, _resolve, [together], step.needs, step.doc)
        else:
            task = _step_task(planned, step)
        task.subtask_of = group
        yield task


def _step_task(planned: SpecTasks, step: Step) -> Task:
    same = _same(planned, step)
    if not step.format:
        return _task(step.task, _perform, [planned, step], step.needs, step.doc, uptodate=[same])
    clean = [_Cleaning(partial(_remove_format, planned, step))]
    facts = {"uptodate": [same], "targets": step.targets, "clean": clean}
    return _task(step.task, _publish, [planned, step], step.needs, step.doc, **facts)


def _same(planned: SpecTasks, step: Step) -> SameKey:
    return SameFiles(planned, step) if step.format else SameKey(planned, step)


class _Cleaning(PythonAction):  # type: ignore[misc]
    """What `doit clean` does for results: it removes them, and prints which."""

    def __init__(self, remove: Callable[[], list[Path]]) -> None:
        super().__init__(self._print)
        self._remove = remove

    def _print(self) -> None:
        for path in self._remove():
            say(f"  {os.path.relpath(path)}")

    def __str__(self) -> str:
        return "remove results"


def _remove(project: Project, name: str) -> list[Path]:
    from pipeline.project import publish

    return publish.unpublish_all(project.results(name))


def _remove_format(planned: SpecTasks, step: Step) -> list[Path]:
    from pipeline.project import publish

    targets = [f"{planned.name}{suffix}" for suffix in formats.find(step.format).own]
    return publish.unpublish(Path(step.folder), step.format, targets)


def _mentioned(spec: str) -> tuple[str, ...]:
    """The formats that the command line may mean besides those that the spec asks for: `build:NODE:tar`, `list --all`.

    For all others they have no tasks, which halves the start-up, and more for many specs. Compressed disks are only
    meant where one is named.
    """
    if not _from_a_shell():
        return (*formats.names(), *formats.compressed())
    starts = (f"build:{spec}:", f"{RESULTS}/{spec}/", "--all")
    words = [word for word in sys.argv[1:] if word.startswith(starts)]
    compressed = formats.compressed() if any(word.endswith(formats.ENDINGS) for word in words) else ()
    return (*formats.names(), *compressed) if words else ()


def commands() -> Iterator[Task]:
    """What the modules of pipeline/commands do: `NAME` for all specs (or the whole project), `NAME:SPEC` for one.

    A module has DOC, PARAMS (doit's), `run(project, spec, **options)` for one spec, and may have
    `run_all(project, **options)` for the project, POSITIONAL, the parameter of `run_all` that takes words, and
    `names(project)`, what `run` is for where that is not specs.
    """
    if _only_builds():
        return
    project = Project(Path.cwd())
    for path in sorted(Path(__file__).parent.with_name("commands").glob("[a-z]*.py")):
        yield from _command(project, path.stem, import_module(f"pipeline.commands.{path.stem}"))


def _only_builds() -> bool:
    """Whether the command line says nothing but what to build: then no command has a task."""
    starts = ("build:", f"{RESULTS}/")
    return _from_a_shell() and all(word == "build" or word.startswith(starts) for word in _words())


def _builds_all() -> bool:
    """Whether the command line asks for every spec, and for nothing else."""
    return _from_a_shell() and set(_words()) <= {"build"}


def _words() -> list[str]:
    """The command line without options, their numbers, and variables."""
    return [word for word in sys.argv[1:] if not word.startswith("-") and not word.isdigit() and "=" not in word]


def _from_a_shell() -> bool:
    """Whether sys.argv is what a person told doit: it is not where doit runs inside another program."""
    return Path(sys.argv[0]).stem in ("doit", "__main__")


def _command(project: Project, name: str, module: ModuleType) -> Iterator[Task]:
    params = [*module.PARAMS, usage.HELP]
    facts = {"params": params, "uptodate": [False], "verbosity": 2}
    group = name not in DOIT_COMMANDS
    if group:
        run = getattr(module, "run_all", None) or partial(_for_all, run=module.run)
        run = usage.helping(run, f"{name}  {module.DOC}", params)
        yield _task(name, run, [project], [], module.DOC, **facts, pos_arg=getattr(module, "POSITIONAL", None))
    names = getattr(module, "names", Project.names)(project) if hasattr(module, "run") else ()
    for spec in names:
        run = usage.helping(module.run, f"{name}:{spec}  {module.DOC}", params)
        task = _task(f"{name}:{printable(spec)}", run, [project, spec], [], f"{module.DOC}: {spec}", **facts)
        task.subtask_of = name if group else None  # keeps `doit list` short
        yield task


def _for_all(project: Project, run: Callable[..., None], **options: Any) -> None:
    for spec in project.names():
        run(project, spec, **options)


def _task(name: str, run: Callable[..., Any], arguments: list[Any], needs: list[str], doc: str, **facts: Any) -> Task:
    actions = [(explained, [name, run, *arguments])]
    io = {"capture": False}  # doit swaps sys.stdout otherwise, which threads would see
    params = [*facts.pop("params", ()), *_debug()]
    told = {"doc": printable(doc), "params": params}
    return dict_to_task({"name": name, "actions": actions, "task_dep": needs, "io": io, **told, **facts})


def _debug() -> list[Mapping[str, Any]]:
    """Returns the option `--debug` of every task, where somebody says it."""
    return [crash.PARAM] if crash.OPTION in sys.argv else []


def _group(name: str, needs: list[str], doc: str, **facts: Any) -> Task:
    told = {"doc": printable(doc), "params": _debug(), **facts}
    task = dict_to_task({"name": name, "actions": None, "task_dep": needs, **told})
    task.has_subtask = True
    return task


def _perform(planned: SpecTasks, step: Step) -> dict[str, Any]:
    from pipeline.tasks import execute

    return execute.stage(planned, step)


def _publish(planned: SpecTasks, step: Step) -> dict[str, Any]:
    from pipeline.tasks import execute

    return execute.publish(planned, step)


def _resolve(steps: list[tuple[SpecTasks, Step]]) -> NoReturn:
    from pipeline.tasks import execute

    execute.resolve(steps)


def _refuse(problem: str) -> NoReturn:
    raise BadInput(problem)


def _broken(project: Project, name: str, error: Exception) -> Iterator[Task]:
    """Tasks that say what is wrong with a spec, under every name that somebody may ask for."""

    def fail() -> NoReturn:
        raise error

    group, first = f"build:{name}", f"build:{name}:spec"
    lines = str(error).splitlines() or [""]
    more = f" (and {len(lines) - 1} more: {user_command(f'check:{name}')})" if len(lines) > 1 else ""
    yield _group(group, [first], f"wrong: {lines[0]}{more}")
    for task in [
        _task(first, fail, [], [], "says what is wrong"),
        *(
            _task(f"{group}:{each}", fail, [], [first], "when the spec is right")
            for each in dict.fromkeys((*formats.names(), *_mentioned(name)))
        ),
    ]:
        task.subtask_of = group
        yield task


def _terminate(number: int, frame: object) -> NoReturn:
    """A signal ends a build like an error does: doit writes its state, half-written files are dropped."""
    resumes = number == signal.SIGINT and _only_builds()
    farewell = functools.cache(partial(sys.stderr.write, RESUMES if resumes else ""))
    atexit.register(farewell)
    threading.Thread(target=_leave, args=(128 + number, farewell), daemon=True).start()
    raise SystemExit(128 + number)


def _leave(status: int, farewell: Callable[[], object]) -> None:
    """End this process, whatever its threads still wait for: a server, or the pause before it is asked again."""
    time.sleep(GRACE)
    farewell()
    sys.stderr.flush()
    os._exit(status)
