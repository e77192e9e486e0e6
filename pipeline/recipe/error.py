"""Errors about Debian packages, in the words that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.host.user_command import user_command
from pipeline.model.errors import NodekilnError


class PackageError(NodekilnError):
    """Packages that cannot be had, and why."""


class Lost(NamedTuple):
    """A package that `recipe` needs and that cannot be had, and the line that says so."""

    recipe: str
    line: str


class AllLost(PackageError):
    """Locked packages that nobody has any more, and the command that locks others."""

    def __init__(self, lost: Sequence[Lost]) -> None:
        self.lost = tuple(sorted(set(lost)))
        names = ",".join(dict.fromkeys(each.recipe for each in self.lost))
        moves = f"{user_command(f'lock --update {names}')} locks the versions that there are today"
        super().__init__("\n".join([*(each.line for each in self.lost), moves]))
