"""The environment of `./kiln`: made, filled by pip, and mended. Run by any Python from 3.11 on; needs nothing else.

    python kiln_environment.py FOLDER run|dev SUMS PLACE

FOLDER is the environment. SUMS identifies what decides its versions, and PLACE is the checkout's folder. Both end up in
FOLDER/.installed-run (or -dev), which exists while the installation is whole: after an interrupted one, in a moved
checkout or for another Python, the environment is made anew.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

NAMED = 2
"""Packages to install that are named; more are counted."""
TICK_SECONDS = 0.25
"""Time between two looks at a running program."""
DOT_SECONDS = 2
"""Time after which a step that goes on prints a dot, where there is no terminal."""
MEGABYTES = 150
"""Size of an environment with development tools, in MB, rounded up."""
PROXIES = ("PIP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")
"""Variables that name pip's proxy, in the order in which pip asks them."""
INTERRUPTED = 128 + signal.SIGINT
DOWNLOAD = re.compile(
    r"(Downloading|Using cached) (?:\S*/)?([\w.]+)-([\w.!+]+?)(?:-\S*)?(?:\.whl|\.tar\.gz)(?:\.metadata)?( \(.*\))?$"
)
"""A line of pip: the verb, the package, its version, and the size."""
CAUSES = (
    (r"name resolution|NameResolutionError|Name or service not known|nodename nor", "its name does not resolve"),
    (r"Connection refused", "connection refused"),
    (r"Network is unreachable|No route to host", "the network is unreachable"),
    (r"timed out|Timeout", "time-out"),
    (r"CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    (r"407 Proxy", "it wants a password"),
    (r"Tunnel connection failed", "it refuses to connect"),
    (r"Connection reset|RemoteDisconnected|Connection aborted", "the connection broke off"),
)
"""Pattern of a connection's error -> its cause in few words; the first that matches counts."""
FAULTS = (
    (
        r"No space left on device|Disk quota exceeded",
        "no space is left: {folder} takes up to {megabytes} MB, and {temporary} holds files meanwhile",
    ),
    (
        r"ProxyError|Cannot connect to proxy|Unable to connect to proxy|Tunnel connection failed",
        "the proxy {proxy} does not work ({cause}): correct the setting, or unset it",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the certificate of {index} is not trusted: name a file with your authority's in PIP_CERT",
    ),
    (
        r"Retrying \(Retry|NewConnectionError|ConnectTimeoutError|ConnectionResetError|Read timed out",
        "pip cannot reach {index} ({cause}): connect to a network, or name a mirror in PIP_INDEX_URL",
    ),
    (
        r"requiring hashes|--require-hashes",
        "pip is set to require hashes, and constraints.txt has none: PIP_REQUIRE_HASHES=0 ./kiln …",
    ),
    (
        r"Failed (?:building wheel for|to build) (\S+)",
        "there is no wheel of {name} for {system}: use another Python (3.11 to 3.14), or install a C compiler",
    ),
    (
        r"No matching distribution found for (\S+)|Cannot install (.+?) because",
        "{index} has no {name} for {system} and constraints.txt: name a complete index in PIP_INDEX_URL",
    ),
)
"""Pattern of pip's output -> the fault and the way out; the first that matches counts."""


class SetUpError(Exception):
    """An environment that cannot be made: the fault and the way out, in one line."""


class Progress:
    """Steps on standard error: one changing line on a terminal; elsewhere a line a step, and dots while it lasts."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.begun = self.shown = time.monotonic()
        self.text = ""
        self.dots = False

    def step(self, text: str) -> None:
        """Shows what is being done from now on."""
        if text == self.text:
            return
        if not self.live:
            self._end_dots()
            self._write(f"kiln: {text}\n")
        self.text, self.begun = text, time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Shows that the step goes on."""
        now = time.monotonic()
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{f'kiln: {self.text} … {now - self.begun:.0f} s'[:width]}")
        elif now - self.shown >= DOT_SECONDS:
            self.dots = True
            self._write(".")

    def end(self, text: str) -> None:
        """Shows `text` in place of the last step."""
        self._end_dots()
        self._write(f"\r\x1b[Kkiln: {text}\n" if self.live else f"kiln: {text}\n")

    def _end_dots(self) -> None:
        if self.dots:
            self._write("\n")
        self.dots = False

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
        self.shown = time.monotonic()


class Environment:
    """The environment in `folder`, for `use` ("run" or "dev"), with what its stamp is to hold."""

    def __init__(self, folder: str, use: str, sums: str, place: str) -> None:
        self.folder, self.use, self.sums, self.place = Path(folder), use, sums, place
        self.python = self.folder / "bin/python"
        self.newest = bool(os.environ.get("NODEKILN_NEWEST"))

    @property
    def identity(self) -> str:
        """What must not change under an environment: the checkout's folder, and the Python that it was made with."""
        return f"{self.place}|{os.path.realpath(self.python)}"

    def stamps(self) -> dict[str, tuple[str, str]]:
        """Returns the sums and the identity in each stamp, by its use; none while an installation is not whole."""
        texts = {use: self.folder / f".installed-{use}" for use in ("run", "dev")}
        parts = {use: path.read_text().strip().partition("|") for use, path in texts.items() if path.exists()}
        return {use: (sums, identity) for use, (sums, _, identity) in parts.items()}

    def is_whole(self) -> bool:
        """Returns whether the environment need not be made anew. An older kiln's stamps are empty."""
        stamps = self.stamps()
        return bool(stamps) and self.python.exists() and all(at in ("", self.identity) for _, at in stamps.values())

    def is_ready(self) -> bool:
        """Returns whether there is nothing to do: another process may have done it meanwhile."""
        return self.is_whole() and self.stamps().get(self.use) == (self.sums, self.identity) and not self.newest

    def remove_stamps(self) -> None:
        for use in ("run", "dev"):
            (self.folder / f".installed-{use}").unlink(missing_ok=True)

    def write_stamps(self) -> None:
        """Declares the installation whole; the development tools include what is needed to run."""
        for use in {"run", self.use}:
            (self.folder / f".installed-{use}").write_text(f"{self.sums}|{self.identity}\n")


def main(words: list[str]) -> int:
    """Makes the environment ready; returns the exit code."""
    progress = Progress(sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        make_ready(Environment(*words), progress)
    except KeyboardInterrupt:
        progress.end("interrupted: the next run makes the environment anew")
        return INTERRUPTED
    except SetUpError as error:
        progress.end(str(error))
        return 1
    except OSError as error:
        progress.end(reason([str(error)], "making the environment", words[0]))
        return 1
    return 0


def make_ready(environment: Environment, progress: Progress) -> None:
    """Makes the environment if it is not whole, and has pip install the project into it."""
    begun = time.monotonic()
    if not os.access(".", os.W_OK):
        raise SetUpError(f"{environment.place} cannot be written to: copy the checkout into a folder of yours")
    with locked(progress) as lock:
        if environment.is_ready():
            return
        if not environment.is_whole():
            version = ".".join(map(str, sys.version_info[:3]))
            progress.step(f"making {environment.folder} with Python {version} ({sys.executable})")
            venv.EnvBuilder(clear=True, symlinks=True).create(environment.folder)
            run(environment, ["-m", "ensurepip", "--upgrade", "--default-pip"], progress, lock)
        environment.remove_stamps()
        install(environment, progress, lock)
        environment.write_stamps()
    progress.end(f"{environment.folder} is ready, after {time.monotonic() - begun:.0f} s")


def install(environment: Environment, progress: Progress, lock: int) -> None:
    """Has pip install the project, editable, with what it needs."""
    pip = ["-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check", "--no-input"]
    pip += ["--upgrade", "--upgrade-strategy", "eager"] if environment.newest else []
    progress.step(f"installing into {environment.folder}")
    run(environment, [*pip, *build_requirements()], progress, lock)
    project = ".[dev]" if environment.use == "dev" else ".[lz4,signatures]"
    run(environment, [*pip, "--no-build-isolation", "--editable", project], progress, lock)
    progress.step("compiling")  # also where PYTHONDONTWRITEBYTECODE is set: it halves the start-up
    run(environment, ["-m", "compileall", "-q", "pipeline", "nodekiln_doit.py"], progress, lock)


def build_requirements() -> list[str]:
    """Returns the packages that build the project; pip's own environment for them would hide what it does."""
    requirements: list[str] = tomllib.loads(Path("pyproject.toml").read_text())["build-system"]["requires"]
    return requirements


@contextmanager
def locked(progress: Progress) -> Iterator[int]:
    """Lets one process at a time work on environments of this checkout; yields the lock, for programs to hold, too."""
    lock = os.open(".", os.O_RDONLY)
    try:
        with suppress(InterruptedError):
            while not _try_lock(lock):
                progress.step("waiting for another kiln, which is making the environment")
                time.sleep(TICK_SECONDS)
                progress.tick()
        yield lock
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def run(environment: Environment, words: list[str], progress: Progress, lock: int) -> None:
    """Runs the environment's Python with `words`, and shows its steps. Raises SetUpError with the reason of a failure.

    Modules and packages outside the environment are not seen (-I); a program that outlives this one keeps the lock.
    """
    constraints = "" if environment.newest else os.path.abspath("constraints.txt")
    variables = {"PIP_CONSTRAINT": constraints, "PIP_USER": "0", "PIP_QUIET": "0", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [str(environment.python.absolute()), "-I", *words],
        env={**os.environ, **variables}, pass_fds=[lock], text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines: list[str] = []
    try:
        for line in _lines(process, progress.tick):
            lines.append(line)
            if os.environ.get("NODEKILN_DEBUG"):
                progress.end(line)
            elif shown := step_of(line):
                progress.step(shown)
        if process.wait():
            raise SetUpError(reason(lines, " ".join(words[1:3]), str(environment.folder)))
    finally:
        process.kill()
        process.wait()


def _lines(process: subprocess.Popen[str], tick: Callable[[], None]) -> Iterator[str]:
    """Yields the lines of a program's output, and calls `tick` while there is none."""
    assert process.stdout is not None
    rest, number = b"", process.stdout.fileno()
    while True:
        while not select.select([number], [], [], TICK_SECONDS)[0]:
            tick()
        data = os.read(number, 1 << 16)
        *whole, rest = (rest + data).split(b"\n")
        yield from (line.decode(errors="replace").rstrip() for line in whole)
        if not data:
            yield rest.decode(errors="replace")
            return


def step_of(line: str) -> str:
    """Returns the step that a line of pip shows, or ""."""
    if download := DOWNLOAD.match(line.strip()):
        verb, name, version, size = download.groups("")
        return f"{'downloading' if verb == 'Downloading' else 'taking from the cache'} {name} {version}{size}"
    if packages := re.match(r"Installing collected packages: (.+)", line):
        count = packages[1].count(",") + 1
        return f"installing {packages[1] if count <= NAMED else f'{count} packages'}"
    if "Retrying (Retry(" in line:
        return f"the package index does not answer, trying again ({summary(line)})"
    if line.lstrip().startswith("Building"):
        return "building nodekiln" if "nodekiln" in line else ""
    return ""


def summary(text: str) -> str:
    """Returns the innermost cause in a line about a connection that failed, without objects and addresses."""
    for pattern, cause in CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return cause
    return "no connection"


def reason(lines: list[str], what: str, folder: str) -> str:
    """Returns why a program failed, in one line, by what it printed."""
    text = "\n".join(lines)
    for pattern, fault in FAULTS:
        if found := re.search(pattern, text):
            name = next(filter(None, found.groups()), "")
            return fault.format(name=name, folder=folder, **circumstances(lines))
    errors = [line for line in lines if re.match(r"\s*(ERROR|error|\w*Error)\b", line)] or lines
    last = errors[-1].strip() if errors else "no word why"
    return f"{what} failed: {last} (./kiln --debug … prints all of it)"


def circumstances(lines: list[str]) -> dict[str, object]:
    """Returns what texts of faults name: places, versions, and settings of pip."""
    places = [
        line.partition(": ")[2] for line in lines if line.startswith(("Looking in indexes: ", "Looking in links: "))
    ]
    failed = next((line for line in lines if re.search(r"Retrying|Error", line)), "")
    return {
        "megabytes": MEGABYTES,
        "temporary": tempfile.gettempdir(),
        "index": places[0] if places else "the package index",
        "proxy": proxy(),
        "cause": summary(failed),
        "system": f"Python {platform.python_version()} on {platform.system()} {platform.machine()}",
    }


def proxy() -> str:
    """Returns the address of the proxy without its password, and the variable that names it."""
    for name in PROXIES:
        if address := os.environ.get(name):
            return f"{re.sub(r'//[^@/]*@', '//', address)} of {name}"
    return "of pip's configuration"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
