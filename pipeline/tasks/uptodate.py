"""Up to date: doit's question whether a task has to run, answered from keys and files without the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from pipeline.host.terminal import printable
from pipeline.project import results_state
from pipeline.project.project import RESULTS, Project
from pipeline.tasks import crash, state
from pipeline.tasks.plan_cache import Step
from pipeline.tasks.spec_tasks import SpecTasks
from pipeline.tasks.staleness import same


class SameKey:
    """doit's `uptodate` of a step: true if the task last ran with the present key of its action.

    `doit info` prints `reason` if it is not; `summary` is the same in fewer words.
    """

    __signature__ = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in ("task", "values")])
    """The parameters, which doit reads for every task; to look at the function takes as long as the answer."""

    def __init__(self, tasks: SpecTasks, step: Step) -> None:
        self._tasks, self._step = tasks, step
        self.action = step.action
        self.reason = self.summary = "never built here"

    @crash.guarded
    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool:
        if same(values, {"key": self._step.key, "damage": self._tasks.project.damage}):
            return self._intact()
        if values:
            self.reason, self.summary = self._tasks.changed(self._step, values)
        return False

    def _intact(self) -> bool:
        """Returns whether the result is as it was written."""
        return True

    def __repr__(self) -> str:
        return printable(self.reason)


class SameFiles(SameKey):
    """The same for files in build/: true if, besides, they are as they were written."""

    def _intact(self) -> bool:
        with results_state.lock:
            results = results_state.read(Path(self._step.folder))
            self.reason = self.summary = results.staleness(self._step.format, self._step.key)
        return not self.summary


class AllSame:
    """doit's `uptodate` of a group of formats, for `doit info`: true if all of them are up to date.

    A build needs no answer: doit asks each of them. evaluate: whether to answer.
    """

    def __init__(self, project: Project, evaluate: bool) -> None:
        self._project, self._evaluate = project, evaluate
        self._checks: list[tuple[Step, SameFiles]] = []
        self._different: list[str] = []

    def add(self, tasks: SpecTasks, steps: Iterable[Step]) -> None:
        """Adds the steps of a spec's formats."""
        self._checks += ((step, SameFiles(tasks, step)) for step in steps)

    @crash.guarded
    def __call__(self, task: Any, values: Mapping[str, Any]) -> bool | None:
        if not self._evaluate:
            return None
        saved = state.saved(self._project.root / RESULTS / state.NAME)
        for step, check in self._checks:
            if not (step.key and check(task, saved.get(step.task, {}))):
                self._different.append(f"{step.task}: {check!r}")
        return not self._different

    def __repr__(self) -> str:
        return "; ".join(self._different)
