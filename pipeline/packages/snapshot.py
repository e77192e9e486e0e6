"""The archive of all versions that an archive ever had, for packages that its mirrors have replaced, and for snapshots.

Two interfaces (https://salsa.debian.org/snapshot-team/snapshot/-/blob/master/API):

    BASE/mr/binary/NAME/VERSION/binfiles        a package's files, with the SHA-1 that names each in the archive
    BASE/archive/ARCHIVE/YYYYMMDDTHHMMSSZ/      an archive as it was then

The content is verified against the lock, or by the signature of its Release file, as that of any mirror.
"""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.host import settings
from pipeline.model.errors import BadInput
from pipeline.packages.error import NotInRepository, PackageError

if TYPE_CHECKING:
    from pipeline.packages.mirrors import Mirrors
    from pipeline.packages.package import Package

SERVICE = "https://snapshot.debian.org"
"""Debian's own service."""
VARIABLE = "NODEKILN_SNAPSHOT"
"""Environment: the URL of another archive, or `off`. In pyproject.toml: `[tool.nodekiln] snapshot`."""
OFF = ("", "0", "off", "none")
LIMIT = 1 << 20
"""Maximum size of a list of files, in bytes."""
FILES = 8
"""Maximum number of files that are tried for one package, version and architecture (of two builds, say)."""
LATER = datetime.timedelta(hours=12)
"""Time after the date of an index when the archive has what it lists: archives are copied some times a day."""
ARCHIVE, DATE = "{archive}", "{date}"
"""Words in a URL that stand for an archive's name and a moment; without them, the URL is of Debian's interface."""

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def service(archive: str = "", environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> str:
    """Returns the URL of the archive of old versions for `archive` (a name or URL; "" for Debian's); "" for none.

    BadInput. The setting may be a table, of archives by name; Debian's own service has Debian's archives.
    """
    default = SERVICE if archive.startswith("debian") or not archive else ""
    url = environ.get(VARIABLE)
    if url is None:
        url = settings.project_settings(folder).get("snapshot", default)
    if isinstance(url, dict):
        url = url.get(archive or "debian", default)
    if url is False or url in OFF:
        return ""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise BadInput(f"{VARIABLE}: {str(url)[:80]!r} is not a URL: use https://…, or off")
    return url.rstrip("/")


def dated(archive: str, moment: str) -> str:
    """Returns the base URL of `archive` as it was at `moment` (YYYYMMDDTHHMMSSZ). PackageError if there is none."""
    if not (base := service(archive)):
        raise PackageError(f"{archive} of {moment[:8]}: no archive of old versions ({VARIABLE} names one)")
    return _dated(base, archive, moment)


def _dated(base: str, archive: str, moment: str) -> str:
    template = base if DATE in base else f"{base}/archive/{ARCHIVE}/{DATE}"
    return template.replace(ARCHIVE, quote(archive)).replace(DATE, moment)


def urls(base: str, package: Package, mirrors: Mirrors) -> list[str]:
    """Returns the URLs that may have `package` in the archive at `base`. ImageError or PackageError if it is silent."""
    return [*_by_name(base, package, mirrors), *_by_date(base, package)]


def _by_date(base: str, package: Package) -> Iterator[str]:
    """Yields the URL of `package` in its archive as it was when its index was new, if both are recorded."""
    if not package.date or "/" in package.archive:
        return
    try:
        date = datetime.datetime.fromisoformat(package.date).astimezone(datetime.UTC) + LATER
    except (ValueError, OverflowError):
        raise PackageError(f"{package.name}: the date of its index is {package.date[:40]!a}") from None
    yield package.url(_dated(base, package.archive, date.strftime("%Y%m%dT%H%M%SZ")))


def _by_name(base: str, package: Package, mirrors: Mirrors) -> list[str]:
    """Returns the URLs of the files of a package's name and version."""
    if DATE in base:
        return []
    url = f"{base}/mr/binary/{quote(package.name)}/{quote(package.version, safe='')}/binfiles"
    data = bytearray()
    try:
        for chunk in mirrors.chunks(url):
            data += chunk
            if len(data) > LIMIT:
                raise PackageError(f"{url}: an answer of more than {LIMIT} bytes")
    except NotInRepository:
        return []
    except OSError as error:
        raise PackageError(f"{url}: {error}") from None
    hashes = dict.fromkeys(_hashes(bytes(data), package.architecture))
    return [f"{base}/file/{name}" for name in list(hashes)[:FILES]]


def _hashes(unsafe_list: bytes, architecture: str) -> Iterator[str]:
    """Yields the names of the files for `architecture` in `{"result": [{"architecture": …, "hash": …}, …]}`."""
    try:
        for file in json.loads(unsafe_list)["result"]:
            if file["architecture"] == architecture and _HASH.fullmatch(file["hash"]):
                yield file["hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PackageError("the snapshot archive's answer is not a list of files") from None
