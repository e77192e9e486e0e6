"""Errors about Debian packages, with messages for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.host.user_command import user_command
from pipeline.model.errors import NodekilnError


class PackageError(NodekilnError):
    """Packages that cannot be had; the message has the reason."""


class NotInRepository(Exception):
    """The repository answers and does not have the file."""


class UnknownMirror(PackageError):
    """No mirror of an archive is known; the message names the setting."""


class SnapshotUnreachable(PackageError):
    """The snapshot archive does not answer."""


class UnavailablePackage(NamedTuple):
    """A locked package of `recipe` that no repository has any more; `line` is the message about it."""

    recipe: str
    line: str


class PackagesUnavailable(PackageError):
    """Locked packages that no repository has any more. The message ends with the command that locks others."""

    def __init__(self, packages: Sequence[UnavailablePackage]) -> None:
        self.packages = tuple(sorted(set(packages)))
        recipes = ",".join(dict.fromkeys(package.recipe for package in self.packages))
        remedy = f"{user_command(f'lock --update {recipes}')} locks the versions that there are today"
        super().__init__("\n".join([*(package.line for package in self.packages), remedy]))
