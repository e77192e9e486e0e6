"""Errors about Debian packages, with messages for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.host.user_command import user_command
from pipeline.model.errors import NodekilnError
from pipeline.oci.http import REPEATED

SHOWN = 3
"""Number of packages that a message names; more are counted."""


class PackageError(NodekilnError):
    """Packages that cannot be had; the message has the reason."""


class NotInRepository(Exception):
    """The repository answers and does not have the file."""


class UnknownMirror(PackageError):
    """No mirror of an archive is known; the message names the setting."""


class SuiteUnreadable(PackageError):
    """A suite that no mirror has in a state that may be used; a reason for each mirror."""

    def __init__(self, suite: str, reasons: Sequence[str]) -> None:
        self.suite, self.reasons = suite, tuple(dict.fromkeys(reasons))
        super().__init__("\n".join(f"{suite}: {reason}" for reason in self.reasons))

    @classmethod
    def lines(cls, errors: Sequence[SuiteUnreadable]) -> list[str]:
        """Returns a line for each reason, with all its suites. A failure that another one repeats is left out."""
        suites: dict[str, list[str]] = {}
        for error in errors:
            for reason in error.reasons:
                suites.setdefault(reason, []).append(error.suite)
        first = [reason for reason in suites if not reason.endswith(REPEATED)]
        return [f"{', '.join(suites[reason])}: {reason}" for reason in first or suites]


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


class FetchError(PackageError):
    """Packages of a recipe that cannot be fetched, all for the same reasons."""

    def __init__(self, recipe: str, arch: str, packages: Sequence[str], reasons: Sequence[str]) -> None:
        self.recipe, self.arch, self.packages, self.reasons = recipe, arch, tuple(packages), tuple(reasons)
        more = f" and {len(packages) - SHOWN} more" if len(packages) > SHOWN else ""
        named = f"the package{'s' * (len(packages) > 1)} {', '.join(packages[:SHOWN])}{more}"
        super().__init__("\n  ".join([f"{recipe} ({arch}) needs {named}, which cannot be fetched:", *reasons]))

    @classmethod
    def merged(cls, errors: Sequence[FetchError]) -> list[FetchError]:
        """Returns one error for all of `errors` with the same recipe and reasons."""
        packages: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
        for error in errors:
            packages.setdefault((error.recipe, error.arch, error.reasons), []).extend(error.packages)
        return [cls(recipe, arch, names, reasons) for (recipe, arch, reasons), names in packages.items()]
