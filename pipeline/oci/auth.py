"""Credentials for registries, and the parser of their challenges. Opens no socket.

Credentials: those of `docker login` and `podman login` (config.json, auth.json), and credential helpers
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
"""Maximum size of a credentials file, in bytes."""
HELPER_SECONDS = 60
"""Time limit of a credential helper, in seconds; some ask a cloud."""
CHALLENGE_LIMIT = 16 << 10
"""Characters of a WWW-Authenticate header that are parsed."""

_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "registry-1.docker.io", "index.docker.io")
_HELPER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=[\s,]|$)(?!\s*=)(?:\s+([A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?")
_SEPARATORS = re.compile(r"[ \t,]*")


class Credentials(NamedTuple):
    user: str
    password: str
    refresh_token: str = ""
    """Identity token of an identity provider, in place of a password."""

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Challenge(NamedTuple):
    scheme: str
    """In lower case: "basic", "bearer"."""
    parameters: Mapping[str, str]


def challenges(header: str) -> list[Challenge]:
    """Parses the challenges of a WWW-Authenticate header, up to the first syntax error."""
    result: list[Challenge] = []
    position, header = 0, header[:CHALLENGE_LIMIT]
    while position < len(header):
        match = _PARAMETER.match(header, position)
        if match and result:
            name, quoted, bare = match.groups()
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            result[-1].parameters.setdefault(name.lower(), value)  # type: ignore[attr-defined]
        elif match := _SCHEME.match(header, position):
            result.append(Challenge(match[1].lower(), {}))
        else:
            break
        position = _SEPARATORS.match(header, match.end()).end()  # type: ignore[union-attr]
    return result


def credentials(host: str, repository: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Returns the user's credentials for `host` (podman: for `repository`); None for anonymous access."""
    for file in _files(environ):
        document = _load(file)
        if helper := _helper(document, host, repository):
            name, key = helper
            for server in _servers(host, key):
                if result := _ask(name, server, file):
                    return result
        for _, entry in _matching(document, "auths", host, repository):
            if isinstance(entry, dict) and (result := _decode(entry, file)):
                return result
    return None


def _helper(document: dict[str, Any], host: str, repository: str) -> tuple[str, str] | None:
    """Returns the name of the credential helper for `host`, and its key in the file; "" for the helper of all hosts."""
    for key, name in (*_matching(document, "credHelpers", host, repository), ("", document.get("credsStore"))):
        if isinstance(name, str) and name:
            return name, key
    return None


def _matching(document: dict[str, Any], table: str, host: str, repository: str) -> Iterator[tuple[str, Any]]:
    """Yields the entries (key as written, value) of a table that apply to `host`, the most specific first."""
    value = document.get(table)
    entries = {_host_of(key): (key, entry) for key, entry in (value if isinstance(value, dict) else {}).items()}
    return (entries[name] for name in _keys(host, repository) if name in entries)


def _servers(host: str, key: str) -> Iterator[str]:
    """Yields the names under which a helper may have credentials for `host`: Docker's for the Hub, then the file's."""
    return iter(dict.fromkeys((_HUB, key or "docker.io") if host in _HUB_HOSTS else (host,)))


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


def _host_of(key: str) -> str:
    """Returns the host (and podman's path) in a key of `auths`; Docker once wrote URLs there."""
    return re.sub(r"/(v1|v2)?/?$", "", re.sub(r"^https?://", "", key))


def _keys(host: str, repository: str) -> Iterator[str]:
    """Yields the keys that apply to a repository, the most specific first."""
    hosts = ("docker.io", _host_of(_HUB), *_HUB_HOSTS) if host in _HUB_HOSTS else (host,)
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
    """Returns the credentials that a helper has for `server`; None, with a warning, if it is not installed.

    file: the credentials file that names the helper, for messages.
    """
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
    say(f"warning: {message}", error=True)
