"""Judges: somebody else's tools, which say whether what we wrote is right.

A missing one is installed where that is possible (root on a Debian machine); else its test is skipped with the reason,
and under CI it fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

INSTALL_SECONDS = 600
"""A mirror that takes longer than this to hand over a package is taken for missing."""

COMPLETE = ".complete"
"""Name of the mark in a folder of the cache that has all that it should."""

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


@cache
def python_with(*requirements: str) -> Path:
    """The Python of an environment with `requirements` (NAME==VERSION), which is kept in the cache."""
    folder = _kept("venv", requirements)
    with alone("pip"):
        if not (folder / COMPLETE).exists():
            with _finished(folder) as unfinished:
                _fetch([sys.executable, "-m", "venv", unfinished])
                _fetch([unfinished / "bin/python", "-m", "pip", "install", "-q", *requirements])
    return folder / "bin/python"


@cache
def npm_packages(*requirements: str) -> Path:
    """The folder that has node_modules with `requirements` (NAME@VERSION), which is kept in the cache."""
    folder = _kept("npm", requirements)
    npm = need("npm")
    with alone("npm"):
        if not (folder / COMPLETE).exists():
            with _finished(folder) as unfinished:
                (unfinished / "package.json").write_text("{}")
                options = ["--prefix", unfinished, "--no-audit", "--no-fund", "--ignore-scripts"]
                _fetch([npm, "install", *options, *requirements])
    return folder


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


def _kept(kind: str, requirements: tuple[str, ...]) -> Path:
    """The folder of installed requirements in the cache of tests: a version more is a folder more."""
    name = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:16]
    return cache_folder() / f"judge-{kind}-{name}"


def cache_folder() -> Path:
    """The folder of what is kept between test runs."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("NODEKILN_TEST_CACHE") or home / "nodekiln-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _finished(folder: Path) -> Iterator[Path]:
    """`folder`, new; it is removed after an error. A mark in it shows that nothing is missing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        (folder / COMPLETE).touch()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fetch(command: list[object]) -> None:
    """Run an installer; where it cannot, the test is skipped, and under CI it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode:
        reason = f"{' '.join(words[-4:])}: {done.stderr[-300:]}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


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
