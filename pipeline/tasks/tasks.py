"""Tasks: actions become doit's task dictionaries. With `state` and `reporter` the only module that knows doit's words.

doit decides the order, runs independent tasks side by side and remembers what was built in this checkout; the store
remembers what was ever made. Neither knows the other: a task is up to date when the key of its action is the one it
last ran with, whatever the store holds.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from doit import get_var
from doit.task import dict_to_task

from pipeline import formats, written
from pipeline.errors import BadInput, NodekilnError
from pipeline.offline import go_offline
from pipeline.project import RESULTS, SPECS, STATE, Project
from pipeline.tasks import crash, outline, state
from pipeline.tasks.outline import Outline, Step
from pipeline.tasks.planned import Planned
from pipeline.tasks.reason import same
from pipeline.tasks.reporter import BAD_INPUT, chosen, explained
from pipeline.terminal import printable, say

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
DOIT_COMMANDS = ("run",)
"""Commands of ours that doit has too: there is `run:NODE`, but no `run` for all."""


class SameKey:
    """doit's `uptodate` for a step: true when the task last ran with its action's present key.

    Printed by `doit info` as why it is not; `summary` says the same in fewer words.
    """

    def __init__(self, planned: Planned, step: Step) -> None:
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
        with written.noting:
            self.reason = self.summary = written.read(Path(self._step.folder)).wrong(self._step.format, self._step.key)
        return not self.summary


class AllUpToDate:
    """doit's `uptodate` for a spec as a whole: true when all of its tasks are. For `doit info`."""

    def __init__(self, planned: Planned, found: Outline) -> None:
        self._planned, self._outline = planned, found
        self.late: list[str] = []

    def __call__(self) -> bool:
        saved = state.saved(self._planned.project.root / RESULTS / state.NAME)
        asked = set(self._outline.asked)
        self.late = [
            step.task for step in self._outline.steps
            if step.task in asked and not (step.key and _same(self._planned, step)(None, saved.get(step.task, {})))
        ]  # fmt: skip
        return not self.late

    def __repr__(self) -> str:
        more = f" and {len(self.late) - 3} more" if len(self.late) > 3 else ""
        return f"not up to date: {', '.join(self.late[:3])}{more} (`doit why:{self._planned.name}` says why)"


def build() -> Iterator[Task]:
    """`build`, `build:NAME` for every spec, `build:NAME:FORMAT` and `build:NAME:STAGE`."""
    project = Project(Path.cwd())
    names = project.names()
    yield _every(names)
    unlocked: list[tuple[Planned, Step]] = []
    for name in names:
        try:
            yield from _spec_tasks(Planned(project, name, _mentioned(name)), unlocked)
        except Exception as error:  # an unexpected one, too: other specs can be built all the same
            yield from _broken(project, name, error)


def _every(names: list[str]) -> Task:
    if names:
        return _group("build", [f"build:{name}" for name in names], "every spec in specs/")
    hint = f"there is no spec: write {SPECS}/NAME.yml (nodekiln's folder examples/ has some), then `doit build:NAME`"
    return _task("build", _refuse, [hint], [], hint)


def _spec_tasks(planned: Planned, unlocked: list[tuple[Planned, Step]]) -> Iterator[Task]:
    """unlocked: gets the steps that resolve what a lock lacks; if all specs are built, they are done as one."""
    project, name = planned.project, planned.name
    memory = project.root / RESULTS / outline.MEMORY / f"{name}{'+' if planned.extra else ''}.json"
    found = outline.recall(memory, planned.extra, planned.outline)
    group = f"build:{name}"
    uptodate = [AllUpToDate(planned, found)] if _asks_for_status() else []
    yield _group(group, found.asked, found.doc, uptodate)
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


def _step_task(planned: Planned, step: Step) -> Task:
    same = _same(planned, step)
    if not step.format:
        return _task(step.task, _perform, [planned, step], step.needs, step.doc, uptodate=[same])
    facts = {"uptodate": [same], "targets": step.targets, "clean": True}
    return _task(step.task, _publish, [planned, step], step.needs, step.doc, **facts)


def _same(planned: Planned, step: Step) -> SameKey:
    return SameFiles(planned, step) if step.format else SameKey(planned, step)


def _asks_for_status() -> bool:
    """Whether the command line asks for the status of tasks, which a build has no use for where they are groups."""
    return not _from_a_shell() or _words()[:1] == ["info"]


def _mentioned(spec: str) -> tuple[str, ...]:
    """The formats that the command line may mean besides those that the spec asks for: `build:NODE:tar`, `list --all`.

    For all others they have no tasks, which halves the start-up, and more for many specs. Compressed disks are only
    meant where one is named.
    """
    if not _from_a_shell():
        return (*formats.names(), *formats.packed())
    starts = (f"build:{spec}:", f"{RESULTS}/{spec}/", "--all")
    words = [word for word in sys.argv[1:] if word.startswith(starts)]
    packed = formats.packed() if any(word.endswith(formats.ENDINGS) for word in words) else ()
    return (*formats.names(), *packed) if words else ()


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
    facts = {"params": module.PARAMS, "uptodate": [False], "verbosity": 2}
    group = name not in DOIT_COMMANDS
    if group:
        run = getattr(module, "run_all", None) or partial(_for_all, run=module.run)
        yield _task(name, run, [project], [], module.DOC, **facts, pos_arg=getattr(module, "POSITIONAL", None))
    names = getattr(module, "names", Project.names)(project) if hasattr(module, "run") else ()
    for spec in names:
        task = _task(f"{name}:{printable(spec)}", module.run, [project, spec], [], f"{module.DOC}: {spec}", **facts)
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


def _group(name: str, needs: list[str], doc: str, uptodate: Sequence[Any] = ()) -> Task:
    told = {"doc": printable(doc), "params": _debug()} | ({"uptodate": list(uptodate)} if uptodate else {})
    task = dict_to_task({"name": name, "actions": None, "task_dep": needs, **told})
    task.has_subtask = True
    return task


def _perform(planned: Planned, step: Step) -> dict[str, Any]:
    from pipeline.tasks import perform

    return perform.stage(planned, step)


def _publish(planned: Planned, step: Step) -> dict[str, Any]:
    from pipeline.tasks import perform

    return perform.publish(planned, step)


def _resolve(steps: list[tuple[Planned, Step]]) -> NoReturn:
    from pipeline.tasks import perform

    perform.resolve(steps)


def _refuse(problem: str) -> NoReturn:
    raise BadInput(problem)


def _broken(project: Project, name: str, error: Exception) -> Iterator[Task]:
    """Tasks that say what is wrong with a spec, under every name that somebody may ask for."""

    def fail() -> NoReturn:
        raise error

    group, first = f"build:{name}", f"build:{name}:spec"
    lines = str(error).splitlines() or [""]
    more = f" (and {len(lines) - 1} more: `doit check:{name}`)" if len(lines) > 1 else ""
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
    raise SystemExit(128 + number)
