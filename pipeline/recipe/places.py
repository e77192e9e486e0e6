"""Places: the repositories that packages come from, as the host's apt is configured, and how to get there."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pipeline.recipe import apt
from pipeline.recipe.apt import Archive
from pipeline.recipe.debian import Package, debian_architecture
from pipeline.recipe.error import PackageError

ATTEMPTS = 3
"""Times that a repository is asked when the connection stalls or breaks, or it answers that it is busy."""


class Gone(Exception):
    """A place does not have the file."""


class Places:
    """Each fact is found out when it is first needed, once for all packages."""

    def __init__(self, arch: str) -> None:
        self._arch = arch

    @cached_property
    def repositories(self) -> tuple[str, ...]:
        return apt.repositories()

    @cached_property
    def archive(self) -> Archive:
        return apt.open_archive(apt.state_folder(), debian_architecture(self._arch))

    def proxies(self, url: str) -> dict[str, str]:
        """The proxies that lead to `url`, scheme -> URL."""
        return apt.proxies_for(url, self._configured)

    @cached_property
    def _configured(self) -> dict[str, str]:
        try:
            return apt.proxies()
        except PackageError:  # without apt there may still be an archive that has the packages
            return {}


def in_folder(repository: str, package: Package) -> Path:
    """Where `package` lies in a repository on this machine's disk."""
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(repository).path), package.filename)


def url_in(repository: str, package: Package) -> str:
    """The URL of `package` in a repository."""
    from urllib.parse import quote

    return repository.rstrip("/") + "/" + quote(package.filename)
