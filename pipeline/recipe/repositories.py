"""The repositories that packages come from, as the host's apt is configured, and the proxies that lead there."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pipeline.recipe import apt
from pipeline.recipe.debian import Package, debian_architecture
from pipeline.recipe.error import PackageError

ATTEMPTS = 3
"""Attempts at a request to a repository that is busy, or whose connection stalls or breaks."""


class NotInRepository(Exception):
    """The repository answers and does not have the file."""


class Repositories:
    """The repositories for one architecture. Each property is computed when it is first needed."""

    def __init__(self, arch: str) -> None:
        self._arch = arch

    @cached_property
    def uris(self) -> tuple[str, ...]:
        return apt.repositories()

    @cached_property
    def archive(self) -> apt.Archive:
        return apt.open_archive(apt.state_folder(), debian_architecture(self._arch))

    def proxies(self, url: str) -> dict[str, str]:
        """Returns the proxies that lead to `url`: scheme -> URL."""
        return apt.proxies_for(url, self._configured)

    @cached_property
    def _configured(self) -> dict[str, str]:
        try:
            return apt.proxies()
        except PackageError:  # without apt the snapshot archive may still have the packages
            return {}


def path_in(repository: str, package: Package) -> Path:
    """Returns the path of `package` in a repository on this machine's disk."""
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(repository).path), package.filename)


def url_in(repository: str, package: Package) -> str:
    """Returns the URL of `package` in a repository."""
    from urllib.parse import quote

    return repository.rstrip("/") + "/" + quote(package.filename)
