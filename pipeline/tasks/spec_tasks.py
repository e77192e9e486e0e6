"""Spec tasks: a spec of a project with its plans, made when a task first needs them.

doit itself needs a CachedPlan, which is mostly read from a file; plans are needed by tasks that run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.host.redact import redact
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.plan_cache import CachedPlan, Step

if TYPE_CHECKING:
    from pipeline.engine.action import Action
    from pipeline.planning.lock import LockRequest
    from pipeline.planning.plan import Plan
    from pipeline.project.targets import Target


class SpecTasks:
    """The tasks of the spec `name`: those of the formats that it asks for, and of those of `extra` that it can have."""

    def __init__(self, project: Project, name: str, extra: tuple[str, ...]) -> None:
        self.project, self.name, self.extra = project, name, extra
        self._guard = threading.RLock()
        self._known: dict[str, list[tuple[str, list[LockRequest]]]] = {}

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """The targets by architecture. Problems, or another error that a person can mend."""
        return {target.arch: target for target in self.project.targets(self.name)}

    @cached_property
    def actions(self) -> Mapping[str, Mapping[str, Action]]:
        """The actions by architecture and name, without those that the lock lacks something for."""
        from pipeline.engine.action import closure

        found = {}
        for arch, target in self.targets.items():
            names = [name for name, missing in self._formats(target) if not missing]
            checks = [check for name in names for check in target.plan.checks(name)]
            found[arch] = {action.name: action for action in closure(*checks, *map(target.plan.format, names))}
        return found

    def action(self, step: Step) -> Action:
        """Returns the action of a step, as the spec is now. Any thread may call it."""
        with self._guard:
            found = self.actions[step.arch].get(step.action)
        if found is None:
            raise BadInput(f"{self.project.path(self.name)} was edited meanwhile: {step.action} is gone; build again")
        return found

    def keys(self, step: Step) -> list[str]:
        """Returns the keys of all actions of the step's architecture. Any thread may call it."""
        with self._guard:
            return [action.key for action in self.actions[step.arch].values()]

    def fetches(self, step: Step) -> list[Action]:
        """Returns the actions of the step's architecture that fetch packages. Any thread may call it."""
        from pipeline.packages.fetch import fetch

        with self._guard:
            return [action for action in self.actions[step.arch].values() if action.stage is fetch]

    def plan(self, step: Step) -> Plan:
        """Returns the plan of a step's architecture. Any thread may call it."""
        with self._guard:
            return self.targets[step.arch].plan

    def missing(self, step: Step) -> list[LockRequest]:
        """Returns what the lock lacks for the format of a step. Any thread may call it."""
        with self._guard:
            return dict(self._formats(self.targets[step.arch]))[step.format]

    def changed(self, step: Step, before: Mapping[str, Any]) -> tuple[str, str]:
        """Returns why a step has to run whose action's record was `before`: at length, and in few words."""
        from pipeline.tasks.staleness import difference, summary

        now = record(self.action(step), self.project.damage)
        return difference(before, now), summary(before, now)

    def cached_plan(self) -> CachedPlan:
        """Returns what doit needs of the plans. Problems, or another error that a person can mend."""
        targets = self.targets.values()
        steps = [step for target in targets for step in self._steps(target)]
        formats = next(iter(targets)).spec.build.formats
        asked = [target.task(name) for target in targets for name in formats]
        return CachedPlan(f"{', '.join(formats)} of {self.project.path(self.name)}", _needed(steps, asked), steps)

    def _formats(self, target: Target) -> list[tuple[str, list[LockRequest]]]:
        """Returns the formats with tasks that this node can have, and what the lock lacks for each."""
        if target.arch not in self._known:
            self._known[target.arch] = [*self._find_formats(target.plan)]
        return self._known[target.arch]

    def _find_formats(self, plan: Plan) -> Iterator[tuple[str, list[LockRequest]]]:
        asked = plan.spec.build.formats
        for name in dict.fromkeys((*asked, *self.extra)):
            if name in asked or not plan.problems(name):
                yield name, plan.missing(*(asked if name in asked else (name,)))

    def _refused(self, plan: Plan) -> Iterator[tuple[str, str]]:
        """Yields the formats of `extra` that this node cannot have, and why."""
        for name in self.extra:
            if name not in plan.spec.build.formats and (problems := plan.problems(name)):
                from pipeline.language.problem import Problems

                yield name, str(Problems(problems))

    def _steps(self, target: Target) -> Iterator[Step]:
        from pipeline.tasks import steps

        for action in self.actions[target.arch].values():
            needs = [target.task(needed.name) for needed in action.inputs]
            doc = steps.described(action)
            yield Step(target.task(action.name), target.arch, action.name, "", action.key, needs, doc, [])
        taken: set[str] = set()
        for name, missing in self._formats(target):
            yield from _unlocked(target, name, len(missing)) if missing else [_files(target, name, taken)]
        for name, problem in self._refused(target.plan):
            yield Step(target.task(name), target.arch, "", name, "", [], "not for this node", [], problem=problem)


def _files(target: Target, name: str, taken: set[str]) -> Step:
    """The task that publishes the files of a format. taken: suffixes of earlier tasks' targets; extended: doit allows
    no target twice."""
    from pipeline import formats

    plan, base = target.plan, target.folder / target.spec.name
    suffixes = formats.find(name).own if target.spec["kernel"].image else ()  # without one, some are not made
    files = [f"{base}{suffix}" for suffix in suffixes if suffix not in taken]
    taken.update(suffixes)
    action = plan.format(name)
    needs = [target.task(needed.name) for needed in (*plan.checks(name), action)]
    doc, folder = f"-> {', '.join(files)}", str(target.folder)
    return Step(target.task(name), target.arch, action.name, name, action.key, needs, doc, files, folder)


def _unlocked(target: Target, name: str, missing: int) -> Iterator[Step]:
    """The tasks of a format that the lock lacks something for: they resolve it."""
    first = target.task(f"lock/{name}")
    yield Step(first, target.arch, "", name, "", [], f"resolve {missing} names", [])
    yield Step(target.task(name), target.arch, "", name, "", [first], "once that is done", [])


def record(action: Action, damage: str) -> dict[str, Any]:
    """Returns what doit's state keeps of an action that ran, from which a later run explains why it runs again.

    damage: identifies the last damage that had been found in the store when it began.
    """
    inputs = {needed.name: needed.key for needed in action.inputs}
    return {"key": action.key, "params": redact(action.params), "inputs": inputs, "damage": damage}


def _needed(steps: list[Step], asked: list[str]) -> list[str]:
    """Returns the tasks `asked` and all that they depend on, in the order of `steps`."""
    needs = {step.task: step.needs for step in steps}
    found: set[str] = set()
    todo = list(asked)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs[name]
    return [step.task for step in steps if step.task in found]
