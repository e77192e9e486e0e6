"""Configuration of workers: NODEKILN_WORKERS, or `workers` in [tool.nodekiln]."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.engine.action import Executor, run_locally
from pipeline.host.offline import is_offline
from pipeline.host.settings import project_settings
from pipeline.model.errors import BadInput, NodekilnError

VARIABLE = "NODEKILN_WORKERS"
SETTING = "workers"
WAIT = "NODEKILN_WORKERS_WAIT"
WAIT_SECONDS = 10.0
"""Default of WAIT: seconds for which a stage may be without a worker before it is run here."""
SCHEMES = {"dask+tls": "tls", "dask": "tcp"}
"""Scheme of a URL -> that of Dask's address."""
PORT = 8786
"""Default port of a Dask scheduler."""


class LackingDask(NodekilnError):
    """The package `distributed` is not installed."""


class Scheduler(NamedTuple):
    """A scheduler: its URL as configured, and its address in Dask."""

    url: str
    address: str


def executor(folder: Path) -> Executor:
    """Returns what runs the stages of the project in `folder`: workers if they are configured. BadInput; LackingDask.

    With NODEKILN_OFFLINE no socket is opened.
    """
    scheduler = configured(folder)
    if scheduler is None or is_offline():
        return run_locally
    check_installed()
    from pipeline.workers.dask import Workers

    return Workers(scheduler.address, wait_seconds())


def configured(folder: Path) -> Scheduler | None:
    """Returns the scheduler of the project in `folder`, by the environment, else by its settings. BadInput."""
    url = os.environ.get(VARIABLE) or project_settings(folder).get(SETTING, "")
    return parse(url) if url else None


def parse(url: object) -> Scheduler:
    """Returns the scheduler at `url`. BadInput, also for one that is not on this machine and has no TLS."""
    try:
        parts = urlsplit(str(url))
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host = None
    if host is None or parts.scheme not in SCHEMES or parts.path.strip("/") or parts.query or parts.username:
        raise BadInput(f"{VARIABLE}: not the address of a scheduler: write dask+tls://HOST:{PORT}")
    if parts.scheme == "dask" and not _is_loopback(host):
        raise BadInput(
            f"{VARIABLE}: {url}: whoever is between may run code here and there: write dask+tls://{host}:{port}"
        )
    shown = f"[{host}]" if ":" in host else host
    return Scheduler(str(url), f"{SCHEMES[parts.scheme]}://{shown}:{port}")


def wait_seconds() -> float:
    """Returns the seconds for which a stage may be without a worker. BadInput."""
    text = os.environ.get(WAIT, "") or str(WAIT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadInput(f"{WAIT}: {text!r} is not a number of seconds")
    return seconds


def check_installed() -> None:
    """LackingDask if the package of Dask is missing."""
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise LackingDask(f"{VARIABLE} needs the Python package distributed: pip install 'nodekiln[dask]'")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
