"""The host's apt(8), asked how archives are reached: mirrors, proxies and passwords.

Its suites, pins and keys do not count. Without apt there is none of it, but for passwords in /etc/apt.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

NETRC_LIMIT = 1 << 20
"""Maximum size of a file of passwords or of a list of mirrors, in bytes."""
_MIRROR_LIST = "mirror+file:"
"""Start of the URI of a local list of mirrors (apt-transport-mirror(1))."""
_SETTING = re.compile(r'^([\w:./+-]+) "(.*)";$', re.MULTILINE)


class Password(NamedTuple):
    """An entry of auth.conf (apt_auth.conf(5)). scheme: "" for https alone. path: start of the URL's, or ""."""

    scheme: str
    host: str
    path: str
    user: str = ""
    password: str = ""

    def fits(self, url: str) -> bool:
        parts = urlsplit(url)
        names = (parts.hostname, parts.netloc.rpartition("@")[2])
        return parts.scheme == (self.scheme or "https") and self.host in names and parts.path.startswith(self.path)


def repositories() -> tuple[str, ...]:
    """Returns the URIs of everything in the host's apt sources, in the order in which apt asks them."""
    output = _run("apt-get", "update", "--print-uris")
    uris = re.findall(r"^'([^']+?)/+dists/[^']+?/(?:In)?Release'", output, re.MULTILINE)
    return tuple(dict.fromkeys(each for uri in uris for each in _members(uri)))


def _members(uri: str) -> Iterator[str]:
    """Yields the mirrors of a local list of mirrors; any other URI itself."""
    if not uri.startswith(_MIRROR_LIST):
        yield uri
        return
    path = Path(unquote(uri.removeprefix(_MIRROR_LIST)))
    for line in _text(path).splitlines():
        if (words := line.split()) and not words[0].startswith("#"):
            yield words[0]


def proxies() -> dict[str, str]:
    """Returns the proxies in the host's apt configuration: scheme, or scheme://host, -> URL; "" for none."""
    found = {}
    for name, url in _SETTING.findall(_run("apt-config", "dump", "Acquire")):
        match = re.fullmatch(r"Acquire::(https?)::Proxy(?:::(\S+))?", name, re.IGNORECASE)
        if match and url:
            scheme, host = match[1].lower(), match[2]
            found[f"{scheme}://{host}" if host else scheme] = "" if url == "DIRECT" else url
    return found


def proxies_for(url: str, configured: Mapping[str, str]) -> dict[str, str]:
    """Returns the proxies that apt uses for `url`: its own, else the environment's (apt-transport-http(1))."""
    import requests

    parts = urlsplit(url)
    scheme, own = parts.scheme, f"{parts.scheme}://{parts.hostname}"
    for key in (own, scheme):
        if key in configured:
            return {scheme: configured[key]} if configured[key] else {}
    return dict(requests.utils.get_environ_proxies(url, no_proxy=None))


def passwords() -> tuple[Password, ...]:
    """Returns the entries of apt's auth.conf and auth.conf.d that this user may read."""
    settings = dict(_SETTING.findall(_run("apt-config", "dump", "Dir")))
    etc = Path(settings.get("Dir", "/"), settings.get("Dir::Etc", "etc/apt"))
    files = [etc / settings.get("Dir::Etc::netrc", "auth.conf")]
    files += sorted((etc / settings.get("Dir::Etc::netrcparts", "auth.conf.d")).glob("*.conf"))
    return tuple(entry for file in files for entry in netrc(_text(file).split()))


def netrc(words: Iterable[str]) -> Iterator[Password]:
    """Yields the entries of a netrc-like file's words."""
    entry: Password | None = None
    words = iter(words)
    for word in words:
        value = next(words, "") if word in ("machine", "login", "password") else ""
        if word == "machine":
            if entry:
                yield entry
            scheme, _, rest = value.rpartition("://")
            host, slash, path = rest.partition("/")
            entry = Password(scheme, host, slash + path)
        elif entry and word == "login":
            entry = entry._replace(user=value)
        elif entry and word == "password":
            entry = entry._replace(password=value)
    if entry:
        yield entry


def authorization(url: str, entries: Iterable[Password]) -> dict[str, str]:
    """Returns the header with the password for `url`; {} if no entry fits."""
    for entry in entries:
        if entry.fits(url):
            secret = base64.b64encode(f"{entry.user}:{entry.password}".encode()).decode()
            return {"Authorization": f"Basic {secret}"}
    return {}


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(NETRC_LIMIT)
    except OSError:
        return ""


def _run(*command: str) -> str:
    """Returns the output of one of apt's programs, in English; "" if it is not installed or fails."""
    import shutil
    import subprocess

    program = shutil.which(command[0])
    if program is None:
        return ""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    process = subprocess.run(
        [program, *command[1:]], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return process.stdout
