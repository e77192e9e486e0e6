"""Loader: nodekiln's tasks for doit, for a project with `[tool.doit] loader = "nodekiln"` in its pyproject.toml, and
for a dodo.py that has tasks of its own beside them.

A loader gets doit's command and the words behind it, and makes only the tasks that they may mean. A dodo.py gets
neither, so that all tasks are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doit import get_var
from doit.cmd_base import TaskLoader2
from doit.task import Task

from pipeline.host.offline import go_offline
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import RESULTS, STATE, Project
from pipeline.tasks import build as building
from pipeline.tasks import command, crash, from_bundle, process, shard
from pipeline.tasks.reporter import JsonReporter
from pipeline.tasks.request import BUILD, Request

SELECTING = ("run", "info", "clean", "forget", "ignore")
"""doit's commands whose words are names of tasks."""
OFFLINE = "offline"
"""doit's variable: `doit build:node offline=1`."""


class Loader(TaskLoader2):  # type: ignore[misc]
    """The tasks of the project in the working folder."""

    def setup(self, options: Mapping[str, Any]) -> None:
        """Keeps the options of doit's command that decide which tasks are made."""
        self._everything, self._verbosity = bool(options.get("subtasks")), options.get("verbosity")

    def load_doit_config(self) -> dict[str, Any]:
        return config()

    def load_tasks(self, cmd: Any, pos_args: Sequence[str]) -> list[Task]:
        if "json" in (reporters := getattr(cmd, "reporters", {})):  # other projects' stays doit's own
            reporters["json"] = JsonReporter
        request = Request(cmd.name, tuple(pos_args), self._everything, self._verbosity)
        tasks = [*_tasks(request)]
        for task in tasks:
            task.cfg_values = self.config.get(f"task:{task.name}")
        if cmd.name == "help":
            _describe(tasks)
        if cmd.name in SELECTING:
            with crash.guard():
                _check_first(request, tasks)
        return tasks


@crash.guarded
def config() -> dict[str, Any]:
    """Returns doit's configuration for the working folder; where no spec is, doit leaves no database there.

    Threads: what takes long here (hashing, compressing, reading) runs beside Python.
    """
    return {
        "backend": "nodekiln",
        "dep_file": f"{RESULTS}/{STATE}" if Project(Path.cwd()).names() else ":memory:",
        "default_tasks": [BUILD],
        "num_process": os.cpu_count() or 1,
        "par_type": "thread",
        "reporter": "nodekiln",
        "verbosity": 2,
        "cleanforget": True,
    }


def build() -> Iterator[Task]:
    """For a dodo.py: the tasks `build`, `build:NODE`, `build:NODE:FORMAT` and `build:NODE:STAGE`."""
    yield from _tasks(Request(), commands=False)


def commands() -> Iterator[Task]:
    """For a dodo.py: the tasks of nodekiln's commands, `lock`, `lock:NODE` and so on."""
    with crash.guard():
        for name in command.names():
            yield from command.tasks(Project(Path.cwd()), name)


def _tasks(request: Request, commands: bool = True) -> Iterator[Task]:
    with crash.guard():
        process.prepare(request)
        if (get_var(OFFLINE) or "0") != "0":
            go_offline()
        project = Project(Path.cwd())
        project.check()
        if bundle := request.bundle or get_var(from_bundle.NAME):
            from_bundle.use(project, bundle, request.specs)
        _check_names(project, request)
        yield from building.tasks(project, request)
        for name in request.commands(command.names()) if commands else ():
            yield from command.tasks(project, name)


def _check_names(project: Project, request: Request) -> None:
    """BadInput, which says how to begin, if a task of a spec is named where there are no specs."""
    if request.command != "run" or project.names():
        return
    for name, colon, _ in (name.partition(":") for name in request.names):
        if colon and (name == BUILD or (name in command.names() and command.find(name).names is Project.names)):
            raise BadInput(command.no_spec())


def _check_first(request: Request, tasks: Sequence[Task]) -> None:
    """Raises BadInput, with what may be meant, if the first name is no task, target or pattern.

    A task's own words may stand behind it, and are not looked at.
    """
    name = next(iter(request.names), "*")
    known = [task.name for task in tasks]
    if "*" in name or name in known or any(name in task.targets for task in tasks):
        return
    from pipeline.language.problem import suggestion

    if name == f"{BUILD}:{shard.COMMON}":
        meant = f"did you mean '{BUILD} {shard.NAME}={shard.COMMON}'?"
    else:
        meant = suggestion(name, [*known, *_typed(name)])
    hint = f" ({meant})" if meant else ""
    raise BadInput(f"there is no task {name!r}{hint}: {user_command('list')} prints all")


def _typed(name: str) -> Iterator[str]:
    """Yields names of commands' tasks, which are made only when they are named, that `name` may stand for."""
    project, (head, colon, rest) = Project(Path.cwd()), name.partition(":")
    for each in [head] if head in command.names() else command.names():
        names = command.find(each).names
        known = names(project) if names and colon else []
        if not colon or (each == head and not known):
            yield each
        yield from (f"{each}:{known_name}" for known_name in known if each == head or known_name == rest)


def _describe(tasks: Sequence[Task]) -> None:
    """Gives `doit help NAME`, which prints a task's line, the words that a command takes, too."""
    for task in tasks:
        if task.pos_arg:
            task.doc = f"{task.usage}  {task.doc}"
