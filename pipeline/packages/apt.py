"""The host's own apt(8), queried about Debian packages of any architecture without touching the host.

It gets a configuration of its own: the host's mirrors, keys, proxies and pins, but a private state folder with an empty
dpkg status. apt trusts that folder and runs programs that its configuration names, so the folder is the user's own and
never in a store, which others may write (`state_folder`). It works unprivileged, checks signatures, resolves packages
of foreign architectures, and runs none of the host's hooks. Only repositories with `Origin: Debian` in their signed
Release file count: packages and failures of other vendors' repositories change nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from pipeline.host import atomic
from pipeline.host.offline import is_offline
from pipeline.packages.error import PackageError

_ARCHITECTURES = {"386": "i386", "arm": "armhf", "mips64le": "mips64el", "ppc64le": "ppc64el"}

ORIGIN = "Debian"
"""`Origin` of the repositories whose packages are used (Release files, apt-secure(8))."""

PRIVATE = 0o700
"""Mode of folders that are the user's own."""
OTHERS_WRITE = 0o022
"""Bits of a mode that let others write."""
PROXY_SECONDS = 5
"""Time limit for a proxy's connection, in seconds."""

_COPIED = re.compile(r"(Acquire|Dir::(Bin|Etc|Ignore-Files-Silently)|APT::Default-Release)\b")
_NOT_COPIED = re.compile(r"(Acquire::(IndexTargets|Languages|ForceHash|GzipIndexes)|Dir::Etc::(main|parts))\b")

_NOT_LOCATED = "Unable to locate package"
_UNMET = re.compile(r"(Depends|Conflicts|Breaks): ")


class ProgramResult(NamedTuple):
    """The result of a program. errors: apt's E: and W: lines, without the letter."""

    status: int
    output: str
    errors: tuple[str, ...]


class Archive(NamedTuple):
    """The host's Debian repositories for one architecture.

    config: the apt.conf that selects them. complaints: apt's errors about repositories that it could not read.
    """

    architecture: str
    config: Path
    complaints: tuple[str, ...]

    def query(self, *command: str, folder: Path | None = None) -> str:
        """Returns the output of one of apt's programs about this archive. PackageError with apt's message."""
        result = run(*command, config=self.config, folder=folder)
        if result.status:
            errors = map(self._explain, result.errors)
            unmet = [line.strip() for line in result.output.splitlines() if _UNMET.search(line)]
            raise PackageError("\n".join(dict.fromkeys([*errors, *unmet, *self.complaints])))
        return result.output

    def _explain(self, error: str) -> str:
        """Adds the components that apt searched to the error about an unknown package: it may be in another one."""
        if not error.startswith(_NOT_LOCATED):
            return error
        targets = run("apt-get", "indextargets", "--format", "$(COMPONENT)", "Created-By: Packages", config=self.config)
        components = " and ".join(sorted(set(targets.output.split())))
        return f"{error} (of Debian, the host's apt sources have {components}: is it in non-free-firmware, say?)"


@cache
def state_folder() -> Path:
    """Returns the folder for apt's configuration, lists and caches, which this user alone may write.

    It is $XDG_CACHE_HOME/nodekiln/apt, or ~/.cache/nodekiln/apt (XDG Base Directory Specification); if that cannot be
    private, a temporary folder that is deleted with this process.
    """
    import atexit
    import shutil
    import tempfile

    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "nodekiln")
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        status = os.stat(folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & OTHERS_WRITE:
            return folder / "apt"
    except (OSError, RuntimeError):  # no home, or it cannot be written
        pass
    temporary = tempfile.mkdtemp(prefix="nodekiln-apt-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary)


def open_archive(state: Path, architecture: str) -> Archive:
    """Returns the host's Debian repositories as they are now, for `architecture` (Debian's name for it).

    state: a folder for apt's lists and caches that nobody else may write (`state_folder`), made if need be. All recipes
    and projects share it; the lists of other host configurations are kept apart. The lists are updated, which costs a
    small request a repository if nothing is new. PackageError if there is no apt, or no readable Debian repository.
    """
    host = run("apt-config", "dump").output
    state.mkdir(PRIVATE, parents=True, exist_ok=True)
    identity = hashlib.sha256("\n".join(_copied(host)).encode()).hexdigest()[:12]
    folder = (state / f"{architecture}-{identity}").absolute()  # two configurations would delete each other's lists
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    config = folder / "apt.conf"
    with open(folder / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a concurrent apt gives up instead of waiting
        atomic.write(config, configuration(host, folder, architecture))
        complaints: tuple[str, ...] = ()
        if not is_offline():  # offline, the lists of earlier runs serve
            check_proxies()
            complaints = run("apt-get", "update", "-q", config=config).errors
        is_readable = _delete_foreign_lists(config)
    if not is_readable:
        message = f"no {ORIGIN} repository for {architecture} can be read through the host's apt configuration"
        raise PackageError("\n".join([message, *complaints]))
    return Archive(architecture, config, complaints)


class Repositories:
    """The host's repositories for one architecture (GOARCH). Each property is computed when it is first needed."""

    def __init__(self, arch: str) -> None:
        self._arch = arch

    @cached_property
    def uris(self) -> tuple[str, ...]:
        return repositories()

    @cached_property
    def archive(self) -> Archive:
        return open_archive(state_folder(), debian_architecture(self._arch))

    def proxies(self, url: str) -> dict[str, str]:
        """Returns the proxies that lead to `url`: scheme -> URL."""
        return proxies_for(url, self._configured)

    @cached_property
    def _configured(self) -> dict[str, str]:
        try:
            return proxies()
        except PackageError:  # without apt the snapshot archive may still have the packages
            return {}


def debian_architecture(arch: str) -> str:
    """Returns Debian's name for an architecture of an image (GOARCH)."""
    return _ARCHITECTURES.get(arch, arch)


def _copied(host: str) -> list[str]:
    return [line for line in host.splitlines() if _COPIED.match(line) and not _NOT_COPIED.match(line)]


def configuration(host: str, folder: Path, architecture: str) -> str:
    """Returns the private apt.conf(5) whose state is in `folder`.

    Of `host`, the output of `apt-config dump`, it has the way to reach and trust repositories, and nothing else.
    """
    own = {
        "Dir::Etc::main": "/dev/null",  # the settings of these files are copied; their hooks stay out
        "Dir::Etc::parts": "/dev/null",
        "Dir::State": f"{folder}/",
        "Dir::State::lists": f"{folder}/lists/",
        "Dir::State::status": f"{folder}/status",
        "Dir::Cache": f"{folder}/",
        "Dir::Cache::srcpkgcache": "",  # as large as the other cache, and only useful if sources change often
        "Dir::Cache::archives": f"{folder}/archives/",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # root's apt would become _apt, which may not enter a folder of root's
        "Acquire::ForceHash": "sha256",  # printed by --print-uris
        "Acquire::GzipIndexes": "true",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled": "false",
    }
    return "\n".join(_copied(host) + [f'{key} "{value}";' for key, value in own.items()]) + "\n"


def repositories() -> tuple[str, ...]:
    """Returns the URIs of the repositories in the host's apt configuration, in its order; () without apt."""
    return tuple(dict.fromkeys(uri for uri, _ in _sources()))


def suites() -> frozenset[str]:
    """Returns the suites in the host's apt configuration, as its sources name them; none without apt."""
    return frozenset(suite for _, suite in _sources())


def _sources() -> list[tuple[str, str]]:
    """Returns URI and suite of everything in the host's apt sources. apt reads no list and opens no socket for it."""
    try:
        output = run("apt-get", "update", "--print-uris").output
    except PackageError:
        return []
    return re.findall(r"^'([^']+?)/+dists/([^']+?)/(?:In)?Release'", output, re.MULTILINE)


def proxies() -> dict[str, str]:
    """Returns the proxies in the host's apt configuration: scheme -> URL."""
    output = run("apt-config", "dump", "Acquire").output
    settings = re.findall(r'^Acquire::(https?)::Proxy "(.+)";', output, re.MULTILINE)
    return {scheme: url for scheme, url in settings if url != "DIRECT"}


def proxies_for(url: str, configured: Mapping[str, str]) -> dict[str, str]:
    """Returns the proxies that apt uses for `url`: its own, else the environment's (apt-transport-http(1))."""
    import requests

    return {**requests.utils.get_environ_proxies(url, no_proxy=None), **configured}


def check_proxies() -> None:
    """Raises PackageError if a proxy to the host's repositories does not answer: apt would wait minutes for it."""
    import socket

    import requests

    from pipeline.oci import http, trust

    configured = proxies()
    urls: dict[str, str] = {}
    for url in repositories():
        if url.startswith("http") and (proxy := requests.utils.select_proxy(url, proxies_for(url, configured))):
            urls.setdefault(proxy, url)
    for proxy, url in urls.items():
        _, name, port = trust.origin(proxy if "://" in proxy else f"http://{proxy}")
        try:
            socket.create_connection((name, port), PROXY_SECONDS).close()
        except OSError as error:
            setting = f"the proxy {name}:{port} ({http.setting(url, proxy)})"
            raise PackageError(f"{setting}, which leads to {trust.host(url)}, does not answer: {error}") from None


def run(*command: str, config: Path | None = None, folder: Path | None = None) -> ProgramResult:
    """Runs one of apt's programs, in English, in `folder`. config: the only configuration, by default the host's.

    PackageError if the program is not installed.
    """
    import shutil
    import subprocess

    program = shutil.which(command[0])
    if program is None:
        raise PackageError(f"{command[0]} is not installed: apt of the host resolves packages (on Debian or Ubuntu)")
    environment = {**os.environ, "LC_ALL": "C.UTF-8"} | ({"APT_CONFIG": str(config)} if config else {})
    process = subprocess.run(
        [program, *command[1:]], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    errors = [line[3:] for line in process.stderr.splitlines() if line.startswith(("E: ", "W: "))]
    if process.returncode and not errors:
        errors = [line for line in (process.stderr or process.stdout).splitlines() if line.strip()][-3:]
    return ProgramResult(process.returncode, process.stdout, tuple(dict.fromkeys(errors)))


def _delete_foreign_lists(config: Path) -> bool:
    """Deletes the lists of other vendors and of untrusted repositories; returns whether Debian's are there."""
    is_readable = False
    fields = "$(ORIGIN)\t$(TRUSTED)\t$(FILENAME)"
    targets = run("apt-get", "indextargets", "--format", fields, "Created-By: Packages", config=config).output
    for origin, trusted, filename in (line.split("\t") for line in targets.splitlines()):
        if origin == ORIGIN and trusted == "yes":
            is_readable = is_readable or Path(filename).exists()
        else:
            Path(filename).unlink(missing_ok=True)
    return is_readable
