"""Request: what doit was asked to do, as its loader gets it. It decides which tasks are made at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.host.user_command import program
from pipeline.project.project import RESULTS
from pipeline.tasks import from_bundle

PRINTING = ("list", "info", "help", "tabcompletion", "dumpdb")
"""doit's commands that only print."""
BUILD = "build"
"""Name of the task of all specs, and the start of all other tasks that build."""


class Request(NamedTuple):
    """A command of doit and the words behind it; by default an unknown one: a dodo.py cannot see either.

    everything: subtasks are listed, too (`list --all`). verbosity: of `-v`, None if it was not typed.
    """

    command: str = ""
    words: tuple[str, ...] = ()
    everything: bool = False
    verbosity: int | None = None

    @property
    def known(self) -> bool:
        return bool(self.command)

    @property
    def command_line(self) -> str:
        """The command line, for messages."""
        return " ".join([program(), *[self.command] * (self.command not in ("", "run")), *self.words])

    @property
    def prints(self) -> bool:
        """True for a command that only prints."""
        return self.command in PRINTING

    @property
    def debug(self) -> bool:
        """True if `--debug` was typed."""
        return "--debug" in self.words

    @property
    def bundle(self) -> str:
        """The bundle to build from, "" if `--from` was not typed with a task that builds."""
        builds = any(word == BUILD or word.startswith(f"{BUILD}:") for word in self.words)
        return from_bundle.typed(self.words) if builds else ""

    @property
    def names(self) -> list[str]:
        """The words that are no options, and no bundle."""
        return [word for word in self.words if not word.startswith("-") and word != self.bundle]

    @property
    def specs(self) -> list[str]:
        """The specs that are named as such: NODE of `build:NODE`."""
        return [word.split(":")[1] for word in self.names if word.startswith(f"{BUILD}:")]

    @property
    def builds(self) -> bool:
        """True if doit runs tasks that build, and no others."""
        starts = (f"{BUILD}:", f"{RESULTS}/")
        return self.command == "run" and all(name == BUILD or name.startswith(starts) for name in self.names)

    @property
    def builds_all(self) -> bool:
        """True if doit builds all specs, and does nothing else."""
        return self.command == "run" and {*self.names} <= {BUILD}

    def formats(self, spec: str) -> tuple[str, ...]:
        """Returns the formats that may be meant besides those that the spec asks for: `build:NODE:tar`, `list --all`.

        For all others no task is made, which halves the start-up, and more for many specs. Compressed disks are meant
        only where one is named.
        """
        named = [name for name in self.names if name.startswith((f"{BUILD}:{spec}:", f"{RESULTS}/{spec}/"))]
        if self.known and not named and not self.everything:
            return ()
        from pipeline import formats

        if not self.known:
            return (*formats.names(), *formats.compressed())
        compressed = formats.compressed() if any(name.endswith(formats.ENDINGS) for name in named) else ()
        return (*formats.names(), *compressed)

    def commands(self, names: Iterable[str]) -> list[str]:
        """Returns those of nodekiln's commands `names` whose tasks may be meant."""
        heads = {name.partition(":")[0] for name in self.names}
        if self.command == "run" and not heads:
            return []
        return [name for name in names if not heads or name in heads or any("*" in head for head in heads)]
