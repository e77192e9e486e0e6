"""Credentials for registries, and the answers to their challenges. No socket here.

Credentials: what `docker login` and `podman login` wrote (config.json, auth.json), and credential helpers
(docker-credential-NAME, docker/docker-credential-helpers). Challenges: RFC 9110, 11.6.1, and the distribution project's
token authentication.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host.terminal import say
from pipeline.oci.error import Refusal, Unreachable

CONFIG_LIMIT = 4 << 20
"""Bytes of a credentials file."""
HELPER_SECONDS = 60
"""What a credential helper may take; some ask a cloud."""
CHALLENGE_LIMIT = 16 << 10
"""Characters of a WWW-Authenticate header."""

_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "registry-1.docker.io", "index.docker.io")
_HELPER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=[\s,]|$)(?!\s*=)(?:\s+([A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?")


class Credentials(NamedTuple):
    user: str
    password: str
    refresh_token: str = ""
    """Instead of a password: what an identity provider gave at login."""

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Challenge(NamedTuple):
    scheme: str
    """In lower case: "basic", "bearer"."""
    parameters: Mapping[str, str]


def challenges(header: str) -> list[Challenge]:
    """The challenges of a WWW-Authenticate header, in order; what cannot be read ends the list."""
    found: list[Challenge] = []
    at, header = 0, header[:CHALLENGE_LIMIT]
    while at < len(header):
        parameter = _PARAMETER.match(header, at)
        if parameter and found:
            name, quoted, bare = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            found[-1].parameters.setdefault(name.lower(), value)  # type: ignore[attr-defined]
            at = parameter.end()
        elif scheme := _SCHEME.match(header, at):
            found.append(Challenge(scheme[1].lower(), {}))
            at = scheme.end()
        else:
            break
        at = _comma(header, at)
    return found


def _comma(header: str, at: int) -> int:
    while at < len(header) and header[at] in " \t,":
        at += 1
    return at


def credentials(host: str, repository: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """What the user has for `host` (and `repository`, podman's finer grain); None for an anonymous visit."""
    for file in _files(environ):
        document = _load(file)
        if helper := _helper(document, host, repository):
            for server in _servers(host, helper.server):
                if found := _ask(helper.name, server, file):
                    return found
        for _, entry in _matching(document, "auths", host, repository):
            if isinstance(entry, dict) and (found := _decode(entry, file)):
                return found
    return None


class _Helper(NamedTuple):
    """The program docker-credential-`name`, and the server that the file names it for ("" for all)."""

    name: str
    server: str


def _helper(document: dict[str, Any], host: str, repository: str) -> _Helper | None:
    """The credential helper that a file names for `host`, or for all hosts."""
    for key, name in _matching(document, "credHelpers", host, repository):
        if isinstance(name, str) and name:
            return _Helper(name, key)
    name = document.get("credsStore")
    return _Helper(name, "") if isinstance(name, str) and name else None


def _matching(document: dict[str, Any], table: str, host: str, repository: str) -> Iterator[tuple[str, Any]]:
    """The entries of a table (`auths`, `credHelpers`) that are for `host`, the finest first: key as written, value."""
    entries = {_host_of(key): (key, value) for key, value in _dict(document, table).items()}
    return (entries[name] for name in _keys(host, repository) if name in entries)


def _servers(host: str, written: str) -> Iterator[str]:
    """Names under which a helper may keep the credentials for `host`: for the Hub Docker's own, then the file's."""
    return iter(dict.fromkeys((_HUB, written or "docker.io") if host in _HUB_HOSTS else (host,)))


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/"))
    if explicit := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(explicit)
        return
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"


def _load(file: Path) -> dict[str, Any]:
    try:
        with open(file, "rb") as source:
            document = json.loads(source.read(CONFIG_LIMIT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unreachable(f"{file} cannot be read: {error}") from None
    return document if isinstance(document, dict) else {}


def _dict(document: dict[str, Any], field: str) -> dict[str, Any]:
    value = document.get(field)
    return value if isinstance(value, dict) else {}


def _host_of(key: str) -> str:
    """The host (and path, for podman) that a key of `auths` means; Docker once wrote URLs there."""
    return re.sub(r"/(v1|v2)?/?$", "", re.sub(r"^https?://", "", key))


def _keys(host: str, repository: str) -> Iterator[str]:
    """Keys for a repository, the finest first."""
    hosts = ("docker.io", *(_host_of(url) for url in (_HUB,)), *_HUB_HOSTS) if host in _HUB_HOSTS else (host,)
    for name in dict.fromkeys(hosts):
        path = f"{name}/{repository}"
        while path:
            yield path
            path = path.rpartition("/")[0]


def _decode(entry: dict[str, Any], file: Path) -> Credentials | None:
    token = entry.get("identitytoken")
    try:
        user, _, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except (binascii.Error, ValueError, TypeError):
        raise Unreachable(f"{file}: an entry of auths is not base64") from None
    user, password = user or str(entry.get("username") or ""), password.rstrip("\0") or str(entry.get("password") or "")
    if isinstance(token, str) and token:
        return Credentials(user, "", token)
    return Credentials(user, password) if user else None


def _ask(helper: str, server: str, file: Path) -> Credentials | None:
    """What docker-credential-HELPER, which `file` names, has for `server`; None where there is no such program."""
    import subprocess

    if not _HELPER.fullmatch(helper):
        raise Refusal(f"{file}: credential helper {helper[:80]!a} is not the name of a program")
    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run([program, "get"], input=server.encode(), capture_output=True, timeout=HELPER_SECONDS)
        document = json.loads(answer.stdout) if answer.returncode == 0 else {}
        user, secret = document.get("Username"), document.get("Secret")
    except (FileNotFoundError, PermissionError):
        _warn(f"{file}: there is no program {program} on PATH; continuing without it")
        return None
    except (OSError, subprocess.TimeoutExpired, ValueError, AttributeError) as error:
        raise Unreachable(f"{file}: {program}: {error}") from None
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        return None
    return Credentials("", "", secret) if user == "<token>" else Credentials(user, secret)


@functools.cache
def _warn(message: str) -> None:
    """Print a warning, once in this process."""
    say(f"warning: {message}", error=True)
