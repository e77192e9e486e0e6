"""An exact Debian package, as a lock records it."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import quote

from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Debian Policy 5.6.1."""


OPTIONAL = ("suite", "archive", "date")
"""Fields that older locks do not have."""


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
    date: str = ""
    """Date of the index that it was chosen from (ISO 8601); "" if unknown. A lock has it once for all packages."""

    def document(self) -> dict[str, Any]:
        """Returns the JSON form, without what is unknown."""
        return {field: value for field, value in self._asdict().items() if value or field not in OPTIONAL}

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self.sha256)

    @property
    def archives(self) -> tuple[str, ...]:
        """Its archive; without a record, the two of Debian, of which that of security updates has its own pool."""
        if self.archive:
            return (self.archive,)
        both = ("debian", "debian-security")
        return both[::-1] if self.filename.startswith("pool/updates/") else both

    def url(self, base: str) -> str:
        """Returns its URL in the archive whose base URL is `base`."""
        return base.rstrip("/") + "/" + quote(self.filename)

    @classmethod
    def parse(cls, unsafe_package: Any) -> Package:
        """Returns the package with this JSON form. BadInput."""
        try:
            package = cls(**unsafe_package)
            texts = [value for field, value in package._asdict().items() if field != "size"]
            if (
                all(type(text) is str and text.isprintable() for text in texts)
                and _NAME.fullmatch(package.name)
                and package.size >= 0
                and not _leads_away(package.filename)
            ):
                Digest.parse("sha256:" + package.sha256)
                return package
        except (TypeError, ValueError):
            pass
        remedy = user_command("lock --update NAME")
        raise BadInput(f"not a package: {str(unsafe_package)[:80]}… (restore the lock, or {remedy})")


def _leads_away(path: str) -> bool:
    """Returns whether a path below an archive is absolute, or leads out of it."""
    return path.startswith("/") or ".." in path.split("/")
