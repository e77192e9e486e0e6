"""An exact Debian package, as a lock records it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Debian Policy 5.6.1."""


class Package(NamedTuple):
    """An exact binary package. `document()` is its JSON form in a lock and in the parameters of `fetch`."""

    name: str
    version: str
    architecture: str
    """Debian's name, or `all`."""
    filename: str
    """Path below a repository's root: `pool/main/o/openssh/openssh-server_9.2p1-2_arm64.deb`."""
    size: int
    sha256: str
    suite: str = ""
    """Codename of its suite (`bookworm-security`); "" in old locks, which do not record it."""
    archive: str = ""
    """Name of its archive (`debian`), or its base URL; "" in old locks, which do not record it."""

    def document(self) -> dict[str, Any]:
        """Returns the JSON form; an unknown suite or archive is left out."""
        return {field: value for field, value in self._asdict().items() if value or field not in ("suite", "archive")}

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self.sha256)

    @property
    def origin(self) -> str:
        """The suite; without a record, whether it is a security suite, whose pool is apart; else ""."""
        return self.suite or ("a security suite" if self.filename.startswith("pool/updates/") else "")

    def path(self, repository: str) -> Path:
        """Returns the package's path in a repository (a file: URI) on this machine's disk."""
        return Path(unquote(urlsplit(repository).path), self.filename)

    def url(self, repository: str) -> str:
        return repository.rstrip("/") + "/" + quote(self.filename)

    @classmethod
    def parse(cls, unsafe_package: Any) -> Package:
        """Returns the package with this JSON form. BadInput."""
        try:
            package = cls(**unsafe_package)
            texts = (
                package.name,
                package.version,
                package.architecture,
                package.filename,
                package.suite,
                package.archive,
            )
            if (
                all(type(text) is str and text.isprintable() for text in texts)
                and _NAME.fullmatch(package.name)
                and package.size >= 0
            ):
                Digest.parse("sha256:" + package.sha256)
                return package
        except (TypeError, ValueError):
            pass
        remedy = user_command("lock --update NAME")
        raise BadInput(f"not a package: {str(unsafe_package)[:80]}… (restore the lock, or {remedy})")
