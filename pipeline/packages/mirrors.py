"""Mirrors: the places of archives, and requests to them.

    NODEKILN_PACKAGES="https://mirror.example, file:/srv/mirror"

Each is the folder of archives by name: the archive `debian` is at https://mirror.example/debian. The same, as a string
or a list, is `packages` under `[tool.nodekiln]` in pyproject.toml (the environment goes first). Without the setting,
the mirrors are those of the host's apt, with apt's proxies and passwords; its suites, pins and keys do not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit

from pipeline.host import containment, settings
from pipeline.host.offline import VARIABLE as OFFLINE
from pipeline.host.offline import is_offline
from pipeline.model.errors import BadInput
from pipeline.oci import hosts, http
from pipeline.packages import host_apt
from pipeline.packages.error import NotInRepository, PackageError, UnknownMirror
from pipeline.packages.sources import ARCHIVES
from pipeline.store import CHUNK

VARIABLE = "NODEKILN_PACKAGES"
SETTING = "packages"
LOCAL = ("file:", "copy:")
"""Starts of URLs of folders on this machine, as apt has them."""
SCHEMES = ("https://", "http://", *LOCAL)
ATTEMPTS = 3
"""Attempts at a request when a mirror does not answer, or is busy."""
_VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
"""Header of an answer -> that of the next request (RFC 9110, 8.8 and 13.1)."""


class Answer(NamedTuple):
    """A body, its size in bytes (0 if unknown), and the headers that make the next request conditional."""

    chunks: Iterator[bytes]
    size: int
    condition: Mapping[str, str]


class Mirrors:
    """The mirrors of archives, with their proxies and passwords. Each property is computed when it is first needed."""

    def bases(self, archive: str) -> tuple[str, ...]:
        """Returns the base URLs of `archive`, its name or URL, in the order in which they are asked; () if unknown.

        PackageError for a folder outside the project, which a project may not name.
        """
        if archive.startswith(LOCAL) and containment.escapes(local_path(archive)):
            raise PackageError(f"{archive} lies outside the project ({containment.ALLOWED})")
        if "/" in archive:
            return (archive.rstrip("/"),)
        if self._configured:
            return tuple(f"{base}/{archive}" for base in self._configured)
        return of_host(archive, self._host)

    def require(self, archive: str) -> tuple[str, ...]:
        """Returns the base URLs of `archive`. UnknownMirror if there is none."""
        return self.bases(archive) or self.refuse(archive)

    def refuse(self, *archives: str) -> NoReturn:
        """Raises UnknownMirror for archives without a mirror."""
        name = f"{SETTING} under [tool.nodekiln] in pyproject.toml"
        raise UnknownMirror(
            f"no mirror of {' and '.join(archives)} is known: set {VARIABLE} (or {name}) to the URL above it:"
            f" the mirror https://HOST has {archives[0]} at https://HOST/{archives[0]}"
        )

    def open(self, url: str, condition: Mapping[str, str] | None = None) -> Answer | None:
        """Requests a file; None if it is unchanged by `condition` (headers of an earlier Answer).

        NotInRepository if there is none; OSError or ImageError for any other failure, and for a socket while offline.
        """
        if url.startswith(LOCAL):
            return _open_local(url)
        if is_offline():
            raise OSError(f"{hosts.host(url)}: {OFFLINE} is set")
        headers = {**(condition or {}), **host_apt.authorization(url, self._passwords)}
        response = http.send("GET", url, headers, attempts=ATTEMPTS, proxies=self.proxies(url))
        if response.status_code == 304:
            response.close()
            return None
        if response.status_code in (404, 410):
            response.close()
            raise NotInRepository(f"{hosts.host(url)}: HTTP {response.status_code}")
        if response.status_code != 200:
            raise OSError(http.complaint(response))
        found = {ours: response.headers[theirs] for theirs, ours in _VALIDATORS.items() if theirs in response.headers}
        size = response.headers.get("Content-Length", "")
        return Answer(http.chunks(response), int(size) if size.isascii() and size.isdigit() else 0, found)

    def chunks(self, url: str) -> Iterator[bytes]:
        """Yields the file at `url`; as `open`."""
        answer = self.open(url)
        assert answer is not None
        yield from answer.chunks

    def has(self, url: str) -> bool:
        """Returns whether there is a file at `url`. ImageError if the mirror does not answer."""
        if url.startswith(LOCAL):
            return local_path(url).exists()
        headers = host_apt.authorization(url, self._passwords)
        response = http.send("HEAD", url, headers, attempts=ATTEMPTS, proxies=self.proxies(url))
        response.close()
        return response.status_code not in (404, 410)

    def proxies(self, url: str) -> dict[str, str]:
        """Returns the proxies that lead to `url`: scheme -> URL."""
        return host_apt.proxies_for(url, self._proxies)

    @cached_property
    def _configured(self) -> tuple[str, ...]:
        return configured()

    @cached_property
    def _host(self) -> tuple[str, ...]:
        return host_apt.repositories()

    @cached_property
    def _proxies(self) -> Mapping[str, str]:
        return host_apt.proxies()

    @cached_property
    def _passwords(self) -> tuple[host_apt.Password, ...]:
        return host_apt.passwords()


def configured(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> tuple[str, ...]:
    """Returns the URLs of the setting, without a slash at the end; () if it is not set. BadInput."""
    value = environ.get(VARIABLE) or settings.project_settings(folder).get(SETTING, [])
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    for url in words if isinstance(words, list) else [words]:
        if not isinstance(url, str) or not url.startswith(SCHEMES):
            raise BadInput(f"{VARIABLE}: {str(url)[:80]!r} is not a URL: use https://…, http://… or file:/…")
        if "@" in url:
            raise BadInput(f"{VARIABLE}: {hosts.host(url)}: a password in the URL: store it in apt's auth.conf")
    return tuple(url.rstrip("/") for url in words)


def of_host(archive: str, uris: Iterable[str]) -> tuple[str, ...]:
    """Returns the base URLs of `archive` by `uris`, the mirrors of the host.

    They are those that end in its name; behind them, those that end in another archive's, with this one in its place.
    """
    uris = [uri.rstrip("/") for uri in uris if uri.startswith(SCHEMES)]
    own = [uri for uri in uris if uri.endswith(f"/{archive}")]
    beside = [uri.rpartition("/")[0] for uri in uris if uri.rpartition("/")[2] in ARCHIVES]
    return tuple(dict.fromkeys([*own, *(f"{parent}/{archive}" for parent in beside)]))


def local_path(url: str) -> Path:
    """Returns the path of a URL of this machine's disk."""
    return Path(unquote(urlsplit(url).path))


def _open_local(url: str) -> Answer:
    path = local_path(url)
    try:
        return Answer(_read(path), path.stat().st_size, {})
    except (FileNotFoundError, NotADirectoryError):
        raise NotInRepository(f"{path}: no such file") from None


def _read(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            yield data
