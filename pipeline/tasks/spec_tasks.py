"""Spec tasks: a spec of a project with its plans, made when a task first needs them.

doit itself needs a CachedPlan, which is mostly read from a file; plans are needed by tasks that run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.host.redact import redact
from pipeline.host.terminal import printable
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.plan_cache import CachedPlan, Step

if TYPE_CHECKING:
    from pipeline.engine.action import Action
    from pipeline.planning.lock import LockRequest
    from pipeline.planning.plan import Plan
    from pipeline.spec.spec import Spec


class SpecTasks:
    """The spec `name` of `project`, with the formats that it asks for and those of `extra` that it can have."""

    def __init__(self, project: Project, name: str, extra: tuple[str, ...]) -> None:
        self.project, self.name, self.extra = project, name, extra
        self._guard = threading.RLock()

    @cached_property
    def spec(self) -> Spec:
        return self.project.load(self.name)

    @cached_property
    def plans(self) -> Mapping[str, Plan]:
        """By architecture. Problems, or another error that a person can mend."""
        from pipeline.planning.plan import plan

        lock = self.project.lock(self.name)
        return {arch: plan(self.spec, lock, arch) for arch in self.spec.build.arch}

    @cached_property
    def actions(self) -> Mapping[str, Mapping[str, Action]]:
        """By architecture and name: all that the lock has everything for."""
        from pipeline.engine.action import closure

        found = {}
        for arch, made in self.plans.items():
            names = [name for name, missing in self._formats(made) if not missing]
            checks = [check for name in names for check in made.checks(name)]
            found[arch] = {action.name: action for action in closure(*checks, *map(made.format, names))}
        return found

    def action(self, step: Step) -> Action:
        """The action of a step, as the spec is now. Any thread may ask."""
        with self._guard:
            found = self.actions[step.arch].get(step.action)
        if found is None:
            raise BadInput(f"{self.project.path(self.name)} was edited meanwhile: {step.action} is gone; build again")
        return found

    def fetches(self, step: Step) -> list[Action]:
        """The actions of the step's architecture that fetch packages. Any thread may ask."""
        from pipeline.recipe.fetch import fetch

        with self._guard:
            return [action for action in self.actions[step.arch].values() if action.stage is fetch]

    def plan(self, step: Step) -> Plan:
        """The plan that a step belongs to. Any thread may ask."""
        with self._guard:
            return self.plans[step.arch]

    def missing(self, step: Step) -> list[LockRequest]:
        """What the lock lacks for the format of a step. Any thread may ask."""
        with self._guard:
            return dict(self._formats(self.plans[step.arch]))[step.format]

    def changed(self, step: Step, before: Mapping[str, Any]) -> tuple[str, str]:
        """Why a step has to run whose action's record was `before`: at length, and in few words."""
        from pipeline.tasks.staleness import difference, summary

        now = record(self.action(step), self.project.damage)
        return difference(before, now), summary(before, now)

    def folder(self, arch: str) -> Path:
        """Where the files of an architecture go, relative to the project."""
        return self.project.results(self.name, arch if len(self.plans) > 1 else "")

    def cached_plan(self) -> CachedPlan:
        """What doit has to know. Problems, or another error that a person can mend."""
        steps: list[Step] = []
        for made in self.plans.values():
            steps += self._steps(made)
        asked = [self._task(made, name) for made in self.plans.values() for name in self.spec.build.formats]
        doc = f"{', '.join(self.spec.build.formats)} of {self.project.path(self.name)}"
        return CachedPlan(doc, _needed(steps, asked), steps)

    def _formats(self, made: Plan) -> Iterator[tuple[str, list[LockRequest]]]:
        """The formats that this node can have and there are tasks for, and what the lock lacks for each."""
        asked = made.spec.build.formats
        for name in dict.fromkeys((*asked, *self.extra)):
            if name in asked or not made.problems(name):
                yield name, made.missing(*(asked if name in asked else (name,)))

    def _refused(self, made: Plan) -> Iterator[tuple[str, str]]:
        """The formats that the spec does not ask for and could not have, and why."""
        for name in self.extra:
            if name not in made.spec.build.formats and (problems := made.problems(name)):
                from pipeline.language.problem import Problems

                yield name, str(Problems(problems))

    def _steps(self, made: Plan) -> Iterator[Step]:
        from pipeline.tasks import steps

        for action in self.actions[made.arch].values():
            needs = [self._task(made, needed.name) for needed in action.inputs]
            doc = steps.told(action)
            yield Step(self._task(made, action.name), made.arch, action.name, "", action.key, needs, doc, [])
        targets: set[str] = set()
        for name, missing in self._formats(made):
            yield from self._unlocked(made, name, len(missing)) if missing else [self._files(made, name, targets)]
        for name, problem in self._refused(made):
            yield Step(self._task(made, name), made.arch, "", name, "", [], "not for this node", [], problem=problem)

    def _files(self, made: Plan, name: str, taken: set[str]) -> Step:
        """The step that writes a format. taken: targets of earlier steps, which doit allows no other; extended."""
        from pipeline import formats

        action = made.format(name)
        suffixes = formats.find(name).own if made.spec["kernel"].image else ()  # without one, some are not made
        targets = [f"{self.folder(made.arch) / self.name}{suffix}" for suffix in suffixes if suffix not in taken]
        taken.update(suffixes)
        needs = [self._task(made, each.name) for each in (*made.checks(name), action)]
        doc, folder = f"-> {', '.join(targets)}", str(self.folder(made.arch))
        return Step(self._task(made, name), made.arch, action.name, name, action.key, needs, doc, targets, folder)

    def _unlocked(self, made: Plan, name: str, missing: int) -> Iterator[Step]:
        """As long as the lock lacks something that a format needs: resolve that."""
        first = self._task(made, f"lock/{name}")
        yield Step(first, made.arch, "", name, "", [], f"resolve {missing} names", [])
        yield Step(self._task(made, name), made.arch, "", name, "", [first], "once that is done", [])

    def _task(self, made: Plan, name: str) -> str:
        """build:NODE:STAGE; several architectures keep their stages apart by a folder."""
        apart = f"{made.arch}/" if len(self.plans) > 1 else ""
        return f"build:{self.name}:{apart}{printable(name)}"


def record(action: Action, damage: str) -> dict[str, Any]:
    """What doit keeps of an action that ran: enough to say later why it would run again.

    damage: the last that had been found in the store when it began.
    """
    inputs = {needed.name: needed.key for needed in action.inputs}
    return {"key": action.key, "params": redact(action.params), "inputs": inputs, "damage": damage}


def _needed(steps: list[Step], asked: list[str]) -> list[str]:
    """The tasks of `asked` and all that they depend on, in the order of `steps`: what a spec's group runs."""
    needs = {step.task: step.needs for step in steps}
    found: set[str] = set()
    todo = list(asked)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs[name]
    return [step.task for step in steps if step.task in found]
