"""Judges: somebody else's tools, which say whether what we wrote is right.

A missing one is installed where that is possible (root on a Debian machine); else its test is skipped with the reason,
and under CI it fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

INSTALL_SECONDS = 600
"""A mirror that takes longer than this to hand over a package is taken for missing."""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="takes root: other users, owners, security attributes")


@cache
def need(tool: str, package: str = "") -> str:
    """The path of `tool` (a command, or a file by its absolute path), from the Debian package `package`."""
    found = _find(tool)
    if found is None and os.getuid() == 0 and shutil.which("apt-get"):
        with alone("apt"):
            if _find(tool) is None:
                _install(package or tool)
        found = _find(tool)
    if found is None:
        reason = f"{tool} is missing: apt-get install {package or tool}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


@contextlib.contextmanager
def alone(what: str) -> Iterator[None]:
    """Keep other test processes of this user from doing `what` at the same time."""
    with open(Path(tempfile.gettempdir(), f"nodekiln-tests-{os.getuid()}-{what}"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a judge, in English and UTC; its output is in the error if it fails. `options` as subprocess.run's."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **options.pop("env", {})}
    options = {"capture_output": True, "text": True, "errors": "surrogateescape", **options}
    done = subprocess.run([str(word) for word in command], env=environment, **options)
    assert done.returncode == 0, f"{command[0]} gave {done.returncode}: {done.stdout} {done.stderr}"
    return done


def _find(tool: str) -> str | None:
    if tool.startswith("/"):
        return tool if Path(tool).exists() else None
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _install(package: str) -> None:
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", package]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (install, ["apt-get", "update", "-qq"], install):
        done = subprocess.run(command, env=environment, capture_output=True, timeout=INSTALL_SECONDS)
        if done.returncode == 0 and command == install:
            return
