"""Configuration of the shared cache: the environment first, then [tool.nodekiln] of the project's pyproject.toml.

| variable | setting | default |
|---|---|---|
| NODEKILN_SHARED | shared | none: addresses of caches, which are asked in this order |
| NODEKILN_SHARED_PUSH | - | 0: results are not pushed |
| NODEKILN_SHARED_ALL | - | 0: what is on a mirror anyway is not pushed |
| NODEKILN_TRUST | trust | none: NAME:BASE64 of the keys whose statements are believed |
| NODEKILN_SIGN | - | none: file of the private key of what is pushed |
| NODEKILN_SHARED_WAIT | shared-wait | 30: seconds that a build waits at its end for what is still to be pushed |
| NODEKILN_SHARED_TIMEOUT | shared-timeout | 5: seconds until a cache that does not answer is not asked any more |
| NODEKILN_SHARED_AUDIT | shared-audit | 0: share of the hits that are made again and compared |
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.host.offline import is_offline
from pipeline.host.settings import project_settings
from pipeline.host.terminal import say
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.shared import wires
from pipeline.store.beyond import Beyond

if TYPE_CHECKING:
    from pipeline.shared.wire import Wire

SHARED, PUSH, ALL, TRUST, SIGN = (
    "NODEKILN_SHARED", "NODEKILN_SHARED_PUSH", "NODEKILN_SHARED_ALL", "NODEKILN_TRUST", "NODEKILN_SIGN",
)  # fmt: skip
WAIT, TIMEOUT, AUDIT = "NODEKILN_SHARED_WAIT", "NODEKILN_SHARED_TIMEOUT", "NODEKILN_SHARED_AUDIT"
MODULES = {"": "folder", "file": "folder", "https": "http", "grpcs": "grpc"}
"""Scheme of an address -> the module of its wire, where that is not the scheme itself."""


class Settings(NamedTuple):
    """caches: addresses. trust: NAME:BASE64 each. sign: file of the private key, or "". wait, timeout: in seconds.

    audit: share, 0 to 1, of the hits that are made again. push: results are pushed; everything: also mirrored ones.
    """

    caches: tuple[str, ...]
    push: bool
    everything: bool
    trust: tuple[str, ...]
    sign: str
    wait: float
    timeout: float
    audit: float


def settings(folder: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Returns the configuration of the project in `folder`. BadInput."""
    table = project_settings(folder) if SHARED not in environ or (folder / "pyproject.toml").exists() else {}
    caches = _list(environ, SHARED, table, "shared")
    return Settings(
        caches if environ.get(SHARED) != "0" else (),
        environ.get(PUSH, "0") not in ("", "0"),
        environ.get(ALL, "0") not in ("", "0"),
        _list(environ, TRUST, table, "trust"),
        environ.get(SIGN, ""),
        _number(environ, WAIT, table, "shared-wait", 30, 86400),
        _number(environ, TIMEOUT, table, "shared-timeout", 5, 3600),
        _number(environ, AUDIT, table, "shared-audit", 0, 1),
    )


def beyond(folder: Path) -> Beyond:
    """Returns the results of other machines for the project in `folder`. BadInput for a wrong configuration.

    Offline, caches other than folders are left out.
    """
    found = settings(folder)
    caches = [url for url in found.caches if not is_offline() or _module(url) == "folder"]
    if not caches:
        return Beyond()
    from pipeline.shared import client

    try:
        return client.SharedCache.of(found._replace(caches=tuple(caches)))
    except BadInput:
        raise
    except NodekilnError as error:
        say(f"warning: the shared cache is not used: {error}", error=True)
        return Beyond()


def connect(url: str, timeout: float) -> Wire:
    """Returns the wire of the cache at `url`, which is opened with its first use. BadInput."""
    name = _module(url)
    if name not in wires.names():
        scheme = ascii(url.partition(":")[0])[1:-1][:40]
        schemes = sorted({*MODULES, *wires.names()} - {"", "folder"})
        raise BadInput(f"{SHARED}: there is no wire {scheme}: use {', '.join(schemes)}, or a path")
    wire: Wire = importlib.import_module(f"{wires.__name__}.{name}").connect(url, timeout)
    return wire


def own_folder(url: str) -> bool:
    """Returns whether `url` is a folder that this user alone may write into: what is in it needs no signature."""
    if _module(url) != "folder":
        return False
    try:
        places = [root := Path(url.removeprefix("file://")), *(root / name for name in ("ac", "cas"))]
        found = [place.stat() for place in places if place == root or place.exists()]
    except OSError:
        return False
    return all(each.st_uid == os.getuid() and not each.st_mode & 0o022 for each in found)


def _module(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return MODULES.get(scheme if separator else "", scheme)


def _list(environ: Mapping[str, str], variable: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    if variable in environ:
        return tuple(environ[variable].split())
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadInput(f"pyproject.toml: [tool.nodekiln] {key} must be a list of strings")
    return tuple(value)


def _number(
    environ: Mapping[str, str], variable: str, table: Mapping[str, Any], key: str, default: float, most: float
) -> float:
    value = environ.get(variable, table.get(key, default))
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= most:
        raise BadInput(f"{variable if variable in environ else key}: {value!a} is not a number from 0 to {most:g}")
    return number
