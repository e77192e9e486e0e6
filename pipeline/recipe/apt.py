"""The host's own apt(8), asked about Debian packages of any architecture without touching the host.

It gets a configuration of its own: the host's mirrors, keys, proxies and pins, but a private state folder with an empty
dpkg status. What apt reads there it believes, and its configuration names programs that it runs: the folder is the
user's own, and never in a store, which others may write (`state_folder`). So it works unprivileged, checks signatures,
takes another architecture's packages as readily as ours, and runs none of the host's hooks. Only repositories that say
`Origin: Debian` in their signed Release file count: what another vendor's repository holds, or that it cannot be
reached, changes nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.host import atomic
from pipeline.host.offline import is_offline
from pipeline.recipe.error import PackageError

ORIGIN = "Debian"
"""`Origin` of the repositories whose packages are taken (Release files, apt-secure(8))."""

PRIVATE = 0o700
"""Mode of folders that are the user's own."""
OTHERS_WRITE = 0o022
"""Bits of a mode that let others write."""
PROXY_SECONDS = 5
"""Seconds to wait for a proxy's connection."""

_KEPT = re.compile(r"(Acquire|Dir::(Bin|Etc|Ignore-Files-Silently)|APT::Default-Release)\b")
_DROPPED = re.compile(r"(Acquire::(IndexTargets|Languages|ForceHash|GzipIndexes)|Dir::Etc::(main|parts))\b")

_NOWHERE = "Unable to locate package"
_UNMET = re.compile(r"(Depends|Conflicts|Breaks): ")


class ProgramResult(NamedTuple):
    """A program that ended.

    errors: what it said went wrong, a line each (apt's E: and W:, without the letter).
    """

    status: int
    output: str
    errors: tuple[str, ...]


class Archive(NamedTuple):
    """The host's Debian repositories, seen for one architecture.

    config: the apt.conf that shows them.
    complaints: what apt said about repositories that it could not read just now.
    """

    architecture: str
    config: Path
    complaints: tuple[str, ...]

    def query(self, *command: str, folder: Path | None = None) -> str:
        """What one of apt's programs prints about this archive. PackageError, with apt's own words, if it fails."""
        done = run(*command, config=self.config, folder=folder)
        if done.status:
            done = done._replace(errors=tuple(map(self._located, done.errors)))
            unmet = [line.strip() for line in done.output.splitlines() if _UNMET.search(line)]
            raise PackageError("\n".join(dict.fromkeys([*done.errors, *unmet, *self.complaints])))
        return done.output

    def _located(self, error: str) -> str:
        """`error`, and where was looked if it says that a package is not there: it may be in another component."""
        if not error.startswith(_NOWHERE):
            return error
        printed = run("apt-get", "indextargets", "--format", "$(COMPONENT)", "Created-By: Packages", config=self.config)
        components = " and ".join(sorted(set(printed.output.split())))
        return f"{error} (of Debian, the host's apt sources have {components}: is it in non-free-firmware, say?)"


@cache
def state_folder() -> Path:
    """The folder for apt's configuration, lists and caches, which this user alone may write.

    It is $XDG_CACHE_HOME/nodekiln/apt, or ~/.cache/nodekiln/apt (XDG Base Directory Specification); where there is no
    such place, a temporary folder that goes with this process.
    """
    import atexit
    import shutil
    import tempfile

    try:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "nodekiln")
        place.mkdir(PRIVATE, parents=True, exist_ok=True)
        found = os.stat(place, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & OTHERS_WRITE:
            return place / "apt"
    except (OSError, RuntimeError):  # no home, or none that can be written
        pass
    folder = tempfile.mkdtemp(prefix="nodekiln-apt-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def open_archive(state: Path, architecture: str) -> Archive:
    """The host's Debian repositories as they are now, seen for `architecture` (Debian's name for it).

    state: a folder for apt's lists and caches that nobody else may write (`state_folder`), made if need be; it serves
        every recipe and project. What belongs to another host configuration is kept apart.
    The lists are brought up to date, which costs one small request a repository when nothing is new. PackageError if
    there is no apt, or no Debian repository that could be read, now or before.
    """
    host = run("apt-config", "dump").output
    state.mkdir(PRIVATE, parents=True, exist_ok=True)
    place = (state / f"{architecture}-{_identity(host)}").absolute()
    for name in ("lists/partial", "archives/partial"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "status").touch()
    config = place / "apt.conf"
    with open(place / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # an apt that finds another one at work does not wait, it gives up
        atomic.write(config, configuration(host, place, architecture))
        complaints: tuple[str, ...] = ()
        if not is_offline():  # offline, lists that were read before still serve
            check_proxies()
            complaints = run("apt-get", "update", "-q", config=config).errors
        readable = _forget_others(config)
    if not readable:
        wanted = f"no {ORIGIN} repository for {architecture} can be read through the host's apt configuration"
        raise PackageError("\n".join([wanted, *complaints]))
    return Archive(architecture, config, complaints)


def _identity(host: str) -> str:
    """What tells the configuration `host` from others: two at once would delete each other's lists."""
    return hashlib.sha256("\n".join(_kept(host)).encode()).hexdigest()[:12]


def _kept(host: str) -> list[str]:
    return [line for line in host.splitlines() if _KEPT.match(line) and not _DROPPED.match(line)]


def configuration(host: str, place: Path, architecture: str) -> str:
    """The private apt.conf(5) whose state is in `place`: of `host`, as `apt-config dump` prints it, how to reach and
    trust repositories, and nothing else."""
    own = {
        "Dir::Etc::main": "/dev/null",  # what these say is in `kept` already; hooks and the rest stay out
        "Dir::Etc::parts": "/dev/null",
        "Dir::State": f"{place}/",
        "Dir::State::lists": f"{place}/lists/",
        "Dir::State::status": f"{place}/status",
        "Dir::Cache": f"{place}/",
        "Dir::Cache::srcpkgcache": "",  # as large as the other one, and made for those who change sources often
        "Dir::Cache::archives": f"{place}/archives/",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # root's apt would become _apt, which may not enter a folder of root's
        "Acquire::ForceHash": "sha256",  # what --print-uris prints
        "Acquire::GzipIndexes": "true",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled": "false",
    }
    return "\n".join(_kept(host) + [f'{key} "{value}";' for key, value in own.items()]) + "\n"


def repositories() -> tuple[str, ...]:
    """URIs of the repositories in the host's apt configuration, in its order; () where there is no apt."""
    return tuple(dict.fromkeys(uri for uri, _ in _sources()))


def suites() -> frozenset[str]:
    """The suites in the host's apt configuration, as its sources name them; none where there is no apt."""
    return frozenset(suite for _, suite in _sources())


def _sources() -> list[tuple[str, str]]:
    """URI and suite of everything in the host's apt sources.

    apt only prints what it would fetch: no list has to be there, no socket is opened.
    """
    try:
        printed = run("apt-get", "update", "--print-uris").output
    except PackageError:
        return []
    return re.findall(r"^'([^']+?)/+dists/([^']+?)/(?:In)?Release'", printed, re.MULTILINE)


def proxies() -> dict[str, str]:
    """The proxies in the host's apt configuration: scheme -> URL."""
    found = re.findall(r'^Acquire::(https?)::Proxy "(.+)";', run("apt-config", "dump", "Acquire").output, re.MULTILINE)
    return {scheme: url for scheme, url in found if url != "DIRECT"}


def proxies_for(url: str, configured: Mapping[str, str]) -> dict[str, str]:
    """Returns the proxies that apt uses for `url`: its own, else the environment's (apt-transport-http(1))."""
    import requests

    return {**requests.utils.get_environ_proxies(url, no_proxy=None), **configured}


def check_proxies() -> None:
    """PackageError if a proxy that leads to the host's repositories does not answer: apt waits minutes for it."""
    import socket

    import requests

    from pipeline.oci import http, trust

    asked, configured = set(), proxies()
    for url in repositories():
        proxy = requests.utils.select_proxy(url, proxies_for(url, configured)) if url.startswith("http") else None
        if not proxy or proxy in asked:
            continue
        asked.add(proxy)
        _, name, port = trust.origin(proxy if "://" in proxy else f"http://{proxy}")
        try:
            socket.create_connection((name, port), PROXY_SECONDS).close()
        except OSError as error:
            named = f"the proxy {name}:{port} ({http.setting(url, proxy)})"
            raise PackageError(f"{named}, which leads to {trust.host(url)}, does not answer: {error}") from None


def run(*command: str, config: Path | None = None, folder: Path | None = None) -> ProgramResult:
    """Run one of apt's programs, in English, in `folder`, with `config` as all its configuration if that is given.

    PackageError if there is no such program.
    """
    import shutil
    import subprocess

    program = shutil.which(command[0])
    if program is None:
        raise PackageError(f"{command[0]} is missing: packages are resolved by the host's own apt, so on a Debian host")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"} | ({"APT_CONFIG": str(config)} if config else {})
    done = subprocess.run(
        [program, *command[1:]], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    errors = [line[3:] for line in done.stderr.splitlines() if line.startswith(("E: ", "W: "))]
    if done.returncode and not errors:
        errors = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-3:]
    return ProgramResult(done.returncode, done.stdout, tuple(dict.fromkeys(errors)))


def _forget_others(config: Path) -> bool:
    """Delete the lists of other vendors and of untrusted repositories; whether any others are there."""
    left = False
    fields = "$(ORIGIN)\t$(TRUSTED)\t$(FILENAME)"
    targets = run("apt-get", "indextargets", "--format", fields, "Created-By: Packages", config=config).output
    for origin, trusted, filename in (line.split("\t") for line in targets.splitlines()):
        if origin == ORIGIN and trusted == "yes":
            left = left or Path(filename).exists()
        else:
            Path(filename).unlink(missing_ok=True)
    return left
