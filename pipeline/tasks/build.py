"""Build: the tasks `build`, `build:NODE`, `build:NODE:FORMAT` and `build:NODE:STAGE`.

doit decides the order, runs independent tasks side by side and keeps the state of this checkout; the store keeps all
results of all checkouts. Neither knows the other: a task is up to date if the key of its action is the one that it last
ran with, whatever the store holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from doit.action import PythonAction

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import RESULTS, Project
from pipeline.tasks import crash, from_bundle, plan_cache, shard
from pipeline.tasks.command import NodekilnTask, no_spec
from pipeline.tasks.plan_cache import Step
from pipeline.tasks.reporter import WATCHED
from pipeline.tasks.request import BUILD, Request
from pipeline.tasks.spec_tasks import SpecTasks
from pipeline.tasks.uptodate import AllSame, SameFiles, SameKey


class BuildTask(NodekilnTask):
    """A task that builds. It takes the option `--from`, which the loader has obeyed before there were tasks."""

    def init_options(self, args: Sequence[str] | None = None) -> Any:
        rest = super().init_options(args)
        if bundle := self.options.pop(from_bundle.NAME, ""):
            with crash.guard():
                from_bundle.check_used(bundle, self.name)
        return rest


def tasks(project: Project, request: Request) -> Iterator[NodekilnTask]:
    """Yields the tasks that build."""
    yield from Build(project, request).tasks()


class Build:
    """The tasks of all specs of a project, as far as `request` may mean them."""

    def __init__(self, project: Project, request: Request) -> None:
        self._project, self._request = project, request
        self._debug = request.debug or not request.known
        option = f"--{from_bundle.NAME}"
        typed = not request.known or request.command == "help" or any(word.startswith(option) for word in request.words)
        self._params = [from_bundle.OPTION] * typed
        self._evaluate = request.command in ("info", "")
        self._same = AllSame(project, self._evaluate)
        self._unlocked: list[tuple[SpecTasks, Step]] = []
        """The steps that resolve what the locks lack: done as one if all specs are built."""
        self._owners: dict[str, str] = {}
        """The tasks by the keys of their actions: if all specs are built, each action has one."""

    def tasks(self) -> Iterator[NodekilnTask]:
        names = self._project.names()
        part = shard.requested(self._request)
        if not names:
            yield self._refusal(BUILD, no_spec(), no_spec())
        elif part is None:
            yield self._all(names, "every spec in specs/")
        elif part.is_common:
            needs, names = shard.common(self._plans(names))
            yield self._some(needs, "the stages that at least half of the specs need")
        else:
            own = part.names(self._project)
            yield self._all(own, f"shard {part.number} of {part.total}: {len(own)} of {len(names)} specs")
            names = own if self._request.builds_all or self._request.prints else names
        for name in names:
            try:
                subtasks = [*self._spec(SpecTasks(self._project, name, self._request.formats(name)))]
            except Exception as error:  # an unexpected one, too: other specs can be built all the same
                subtasks = [*self._broken(name, error)]
            for task in subtasks[1:]:
                task.subtask_of = subtasks[0].name
            yield from subtasks

    def _all(self, names: list[str], doc: str) -> NodekilnTask:
        """Returns the group of the specs `names`."""
        return self._some([f"{BUILD}:{name}" for name in names], doc, uptodate=[self._same])

    def _some(self, needs: list[str], doc: str, **arguments: Any) -> NodekilnTask:
        """Returns the group `build` of the tasks `needs`; without any, it prints that there are none."""
        if needs:
            return self._task(BUILD, None, needs, doc, **arguments)
        return self._task(BUILD, [say, f"nothing to build: {doc}"], [], doc)

    def _plans(self, names: list[str]) -> Iterator[tuple[str, plan_cache.CachedPlan]]:
        """Yields the plans of the specs `names`, without those that cannot be planned: their own builds report that."""
        for name in names:
            with contextlib.suppress(Exception):
                yield name, self._plan(SpecTasks(self._project, name, self._request.formats(name)))

    def _task(self, name: str, action: list[Any] | None, needs: list[str], doc: str, **arguments: Any) -> NodekilnTask:
        arguments |= {"params": self._params, "task_dep": needs, "doc": doc}
        return BuildTask(name, action, self._debug, **arguments)

    def _refusal(self, name: str, problem: str, doc: str) -> NodekilnTask:
        return self._task(name, [_refuse, BadInput(problem)], [], doc)

    def _plan(self, tasks: SpecTasks) -> plan_cache.CachedPlan:
        """Returns what doit needs of a spec's plans. Problems, or another error that a person can mend."""
        folder = tasks.project.root / RESULTS / plan_cache.FOLDER
        path = folder / f"{tasks.name}{'+' if tasks.extra else ''}.json"
        return plan_cache.recall(path, tasks.extra, tasks.cached_plan)

    def _spec(self, tasks: SpecTasks) -> Iterator[NodekilnTask]:
        """Yields the group of a spec, and its tasks."""
        project, name, plan = tasks.project, tasks.name, self._plan(tasks)
        if self._request.builds_all:
            plan = plan.shared(self._owners)
        same, asked = AllSame(project, self._evaluate), [*_formats(plan)]
        for group in (same, self._same):
            group.add(tasks, asked)
        clean = [_Cleaning(partial(_remove, project, name))]
        yield self._task(f"{BUILD}:{name}", None, plan.asked, plan.doc, uptodate=[same], clean=clean)
        for step in plan.steps:
            if step.problem:
                yield self._refusal(step.task, step.problem, step.doc)
            elif not step.key:
                self._unlocked += [(tasks, step)] * (not step.needs)
                together = self._unlocked if self._request.builds_all else [(tasks, step)]
                yield self._task(step.task, [_resolve, together], step.needs, step.doc, meta={WATCHED: True})
            elif step.format:
                clean = [_Cleaning(partial(_remove_format, tasks, step))]
                arguments = {"uptodate": [SameFiles(tasks, step)], "targets": step.targets, "clean": clean}
                yield self._task(step.task, [_publish, tasks, step], step.needs, step.doc, **arguments)
            else:
                uptodate = [SameKey(tasks, step)]
                yield self._task(step.task, [_perform, tasks, step], step.needs, step.doc, uptodate=uptodate)

    def _broken(self, name: str, error: Exception) -> Iterator[NodekilnTask]:
        """Yields tasks that fail with what is wrong with a spec, under every name that somebody may type."""
        from pipeline import formats

        group, first = f"{BUILD}:{name}", f"{BUILD}:{name}:spec"
        lines = str(error).splitlines() or [""]
        more = f" (and {len(lines) - 1} more: {user_command(f'check:{name}')})" if len(lines) > 1 else ""
        yield self._task(group, None, [first], f"wrong: {lines[0]}{more}")
        yield self._task(first, [_refuse, error], [], "fails with what is wrong")
        for each in dict.fromkeys((*formats.names(), *self._request.formats(name))):
            yield self._task(f"{group}:{each}", [_refuse, error], [first], "when the spec is right")


def _formats(plan: plan_cache.CachedPlan) -> Iterator[Step]:
    """Yields the steps of the formats that the spec asks for."""
    return (step for step in plan.steps if step.format and step.task in plan.asked)


class _Cleaning(PythonAction):  # type: ignore[misc]
    """An action of `doit clean`: removes results, and prints which."""

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


def _remove_format(tasks: SpecTasks, step: Step) -> list[Path]:
    from pipeline import formats
    from pipeline.project import publish

    files = [f"{tasks.name}{suffix}" for suffix in formats.find(step.format).own]
    return publish.unpublish(Path(step.folder), step.format, files)


def _perform(tasks: SpecTasks, step: Step) -> dict[str, Any]:
    from pipeline.tasks import execute

    return execute.stage(tasks, step)


def _publish(tasks: SpecTasks, step: Step) -> dict[str, Any]:
    from pipeline.tasks import execute

    return execute.publish(tasks, step)


def _resolve(steps: list[tuple[SpecTasks, Step]]) -> NoReturn:
    from pipeline.tasks import execute

    execute.resolve(steps)


def _refuse(error: Exception) -> NoReturn:
    raise error
