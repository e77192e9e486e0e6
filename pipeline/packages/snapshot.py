"""The snapshot archive of all packages that Debian ever had, for locked packages that the mirrors have replaced.

Its interface: https://salsa.debian.org/snapshot-team/snapshot/-/blob/master/API. A binary package's files are listed by
name and version, with the SHA-1 that names each in the archive. The content is verified against the lock, as that of
any other repository.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.host import settings
from pipeline.model.errors import BadInput
from pipeline.oci import http
from pipeline.packages.error import PackageError

if TYPE_CHECKING:
    from pipeline.packages.package import Package

SERVICE = "https://snapshot.debian.org"
"""Debian's own service."""
VARIABLE = "NODEKILN_SNAPSHOT"
"""Environment: the URL of another archive, or `off`. In pyproject.toml: `[tool.nodekiln] snapshot`."""
OFF = ("", "0", "off", "none")
LIMIT = 1 << 20
"""Maximum size of a list of files, in bytes."""
ATTEMPTS = 3
"""Attempts at a request when a repository or the archive does not answer, or is busy."""
CONNECTIONS = 4
"""Packages that are requested at once: enough to hide a mirror's latency, few enough for its limits."""
FILES = 8
"""Maximum number of files that are tried for one package, version and architecture (of two builds, say)."""

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def service(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> str:
    """Returns the URL of the archive; "" for none. BadInput."""
    url = environ.get(VARIABLE)
    if url is None:
        url = settings.project_settings(folder).get("snapshot", SERVICE)
    if url is False or url in OFF:
        return ""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise BadInput(f"{VARIABLE}: {str(url)[:80]!r} is not a URL: use https://…, or off")
    return url.rstrip("/")


def dated(archive: str, moment: str) -> str:
    """Returns the base URL of `archive` as it was at `moment` (YYYYMMDDTHHMMSSZ). PackageError."""
    if not (base := service()):
        raise PackageError(f"{archive} of {moment[:8]} is in an archive of old versions, and {VARIABLE} is off")
    return f"{base}/archive/{archive}/{moment}"


def urls(base: str, package: Package, proxies: Mapping[str, str]) -> list[str]:
    """Returns the URLs of `package` in the archive at `base`. ImageError or PackageError if it does not answer."""
    url = f"{base}/mr/binary/{quote(package.name)}/{quote(package.version, safe='')}/binfiles"
    response = http.send("GET", url, {}, attempts=ATTEMPTS, proxies=proxies)
    if response.status_code == 404:
        response.close()
        return []
    if response.status_code != 200:
        raise PackageError(f"{url}: {http.complaint(response)}")
    hashes = dict.fromkeys(_hashes(http.small(response, LIMIT, url), package.architecture))
    return [f"{base}/file/{name}" for name in list(hashes)[:FILES]]


def _hashes(unsafe_list: bytes, architecture: str) -> Iterator[str]:
    """Yields the names of the files for `architecture` in `{"result": [{"architecture": …, "hash": …}, …]}`."""
    try:
        for file in json.loads(unsafe_list)["result"]:
            if file["architecture"] == architecture and _HASH.fullmatch(file["hash"]):
                yield file["hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PackageError("the snapshot archive's answer is not a list of files") from None
