"""Debian's archive of all packages that ever were: asked for a locked package that the mirrors have replaced.

Its interface: https://salsa.debian.org/snapshot-team/snapshot/-/blob/master/API. A binary package's files are listed by
name and version, with the SHA-1 under which each can be had. That is but its name there: what comes is checked against
the lock, as from anywhere.
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
from pipeline.recipe.error import PackageError

if TYPE_CHECKING:
    from pipeline.recipe.debian import Package

SERVICE = "https://snapshot.debian.org"
"""Debian's own service."""
VARIABLE = "NODEKILN_SNAPSHOT"
"""Environment: the URL of another one, or `off`. In pyproject.toml: `[tool.nodekiln] snapshot`."""
OFF = ("", "0", "off", "none")
LIMIT = 1 << 20
"""Maximum size of a list of files, in bytes."""
ATTEMPTS = 3
"""Times that the archive is asked when it does not answer, or is busy."""
FILES = 8
"""Files of one package, version and architecture that are tried (it was built twice, say)."""

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def service(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> str:
    """The URL of the archive to ask; "" for none."""
    chosen = environ.get(VARIABLE)
    if chosen is None:
        chosen = settings.project_settings(folder).get("snapshot", SERVICE)
    if chosen is False or chosen in OFF:
        return ""
    if not isinstance(chosen, str) or not chosen.startswith(("https://", "http://")):
        raise BadInput(f"{VARIABLE}: {str(chosen)[:80]!r} is not a URL: https://…, or off")
    return chosen.rstrip("/")


def urls(base: str, package: Package, proxies: Mapping[str, str]) -> list[str]:
    """Where the archive at `base` has files of `package`; none if it has it not. ImageError if it cannot be asked."""
    asked = f"{base}/mr/binary/{quote(package.name)}/{quote(package.version, safe='')}/binfiles"
    answer = http.send("GET", asked, {}, attempts=ATTEMPTS, proxies=proxies)
    if answer.status_code == 404:
        answer.close()
        return []
    if answer.status_code != 200:
        raise PackageError(f"{asked}: {http.complaint(answer)}")
    hashes = _hashes(http.small(answer, LIMIT, asked), package.architecture)
    return [f"{base}/file/{each}" for each in list(dict.fromkeys(hashes))[:FILES]]


def _hashes(unsafe_list: bytes, architecture: str) -> Iterator[str]:
    """The names of the files for `architecture` in an answer: `{"result": [{"architecture": …, "hash": …}, …]}`."""
    try:
        for each in json.loads(unsafe_list)["result"]:
            if each["architecture"] == architecture and _HASH.fullmatch(each["hash"]):
                yield each["hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PackageError("the snapshot archive's answer is not a list of files") from None
