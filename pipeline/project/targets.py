"""Targets: a spec for each of its architectures, with its plan, its tasks and the folder of its results."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import printable
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import RESULTS

if TYPE_CHECKING:
    from pipeline.planning.lock import Lock
    from pipeline.planning.plan import Plan
    from pipeline.spec.spec import Spec


class Target:
    """A spec for the architecture `arch`; `lock` explains its names. Planned when `plan` is first read.

    prefix: `ARCH/` if the spec has several architectures, which keeps their tasks and results apart; else "".
    """

    def __init__(self, spec: Spec, arch: str, lock: Lock) -> None:
        self.spec, self.arch, self._lock = spec, arch, lock
        self.prefix = f"{arch}/" if len(spec.build.arch) > 1 else ""

    @cached_property
    def plan(self) -> Plan:
        """The plan. Problems if the spec is wrong."""
        from pipeline.planning.plan import plan

        return plan(self.spec, self._lock, self.arch)

    @property
    def title(self) -> str:
        """The spec's name, with the architecture if there are several."""
        return f"{self.spec.name} ({self.arch})" if self.prefix else self.spec.name

    @property
    def folder(self) -> Path:
        """The folder of the results, relative to the project."""
        return Path(RESULTS, self.spec.name, self.prefix)

    def task(self, name: str) -> str:
        """Returns doit's name of a stage or format: build:NODE:[ARCH/]NAME."""
        return f"build:{self.spec.name}:{self.prefix}{printable(name)}"

    def locked(self, *formats: str) -> Plan:
        """The plan, if the lock explains everything that `formats` need; NodekilnError otherwise."""
        require_locked(self.plan, *formats)
        return self.plan


def require_locked(plan: Plan, *formats: str) -> None:
    """NodekilnError if the lock lacks something that `formats` need."""
    if missing := plan.missing(*formats):
        lock, mends = plan.spec.path.with_suffix(".lock"), user_command(f"lock:{plan.spec.name}")
        raise NodekilnError(f"{lock} lacks {missing[0]}: run {mends} first")


def chosen(spec: Spec, names: str) -> list[str]:
    """The formats `names` (separated by commas), or those of the spec; BadInput for a name that is no format."""
    from pipeline import formats

    wanted = names.split(",") if names else [*spec.build.formats]
    if unknown := [each for each in wanted if not formats.known(each)]:
        raise BadInput(f"there is no format {unknown[0]!r} (there are {', '.join(formats.names())})")
    return [*dict.fromkeys(wanted)]
