"""Conditions of a rebuild. None of them may decide a byte, so `doit verify` varies them all."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

NOBODY = 65534
"""The uid of the user `nobody`."""
EARLY, LATE = 86_400 * 366, 2_209_032_000
"""Seconds since 1970: in 1971, before FAT's first day, and in 2040, after the end of signed 32-bit time stamps."""
SHARED_MEMORY = Path("/dev/shm")
"""A separate file system on every Linux."""
DEEP = 180
"""Characters that a long path adds: far from PATH_MAX, longer than any buffer for a name."""


@dataclass(frozen=True)
class Conditions:
    """The defaults are those of the first run of every verification.

    other_user: nobody for root, root (of a namespace) for everybody else. now: the process's clock, in seconds since
    1970 (None: the real one). listing: seed of the order of directory listings (0: sorted). threads: doit's -n.
    hard_links: blobs are linked from the project's store, not copied. warm: build, remove half of the results, build
    again.
    """

    name: str = "plain"
    other_user: bool = False
    umask: int = 0o022
    zone: str = "UTC0"
    locale: str = "C.UTF-8"
    hash_seed: int = 0
    now: int | None = None
    processors: int | None = None
    threads: int = 2
    listing: int = 0
    hard_links: bool = True
    long_path: bool = False
    shared_memory: bool = False
    warm: bool = False

    def environment(self) -> dict[str, str]:
        """Environment variables that set conditions."""
        return {"TZ": self.zone, "LANG": self.locale, "LC_ALL": self.locale, "PYTHONHASHSEED": str(self.hash_seed)}

    def description(self) -> str:
        """The differences from the defaults, as text."""
        plain = Conditions()
        fields = [field.name for field in dataclasses.fields(self) if field.name != "name"]
        changed = [(name, getattr(self, name)) for name in fields if getattr(self, name) != getattr(plain, name)]
        return ", ".join(_description(name.replace("_", " "), value) for name, value in changed)


def _description(name: str, value: object) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if name == "now":
        return datetime.fromtimestamp(int(str(value)), UTC).strftime("%Y-%m-%d")
    return f"{name} {value:03o}" if name == "umask" else f"{name} {value}"


PLAIN = Conditions()
OTHER = Conditions(
    "all other", other_user=True, umask=0o077, zone="VER-14", locale="tr_TR.UTF-8", hash_seed=4711, now=LATE,
    processors=1, threads=16, listing=1, hard_links=False, long_path=True, shared_memory=True,
)  # fmt: skip
"""Everything different at once: an influence of any condition shows here already."""
SINGLE = (
    Conditions("warm", warm=True),
    Conditions("date before FAT", now=EARLY),
    Conditions("date after 2038", now=LATE),
    Conditions("time zone", zone="VER-14"),
    Conditions("locale", locale="tr_TR.UTF-8"),
    Conditions("hash seed", hash_seed=4711),
    Conditions("listing order", listing=2),
    Conditions("one processor", processors=1, threads=1),
    Conditions("16 threads", threads=16),
    Conditions("umask 077", umask=0o077),
    Conditions("umask 000", umask=0),
    Conditions("copies", hard_links=False),
    Conditions("long path", long_path=True),
    Conditions("other TMPDIR", shared_memory=True),
    Conditions("other user", other_user=True),
)
"""One condition at a time, to name the one that matters."""


def select(runs: int, full: bool) -> list[Conditions]:
    """The conditions of `runs` runs (at least two); all if `full`."""
    every = [PLAIN, OTHER, *SINGLE]
    return every if full else every[: max(2, runs)]


def adapt(conditions: Conditions, paths: list[Path]) -> tuple[Conditions, list[str], str]:
    """Removes conditions that this machine cannot provide: the rest, the prefix of a run's command, what is missing.

    paths: files that another user has to read.
    """
    missing: list[str] = []
    command: list[str] = []
    if conditions.other_user:
        command, reason = _as_other_user(paths)
        if reason:
            conditions = dataclasses.replace(conditions, other_user=False)
            missing.append(reason)
    if conditions.shared_memory and not os.access(SHARED_MEMORY, os.W_OK):
        conditions = dataclasses.replace(conditions, shared_memory=False)
        missing.append(f"no {SHARED_MEMORY}")
    return conditions, command, "; ".join(missing)


def _as_other_user(paths: list[Path]) -> tuple[list[str], str]:
    """The prefix of a command that runs it as another user (nobody for root, root of a namespace for anyone else), or
    why there is none.

    If folders above `paths` are closed to others, nobody gets the right to read (and no other right).
    """
    import shutil
    import subprocess

    tool = "setpriv" if os.getuid() == 0 else "unshare"
    if shutil.which(tool) is None:
        return [], f"another user needs {tool} (Debian: util-linux)"
    command = ["unshare", "--map-root-user", "--"]
    if os.getuid() == 0:
        closed = any(not folder.stat().st_mode & 0o001 for path in paths for folder in _above(path))
        rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"] if closed else []
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights, "--"]
    trial = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, text=True, check=False)
    return (command, "") if trial.returncode == 0 else ([], f"another user: {trial.stderr.strip()}")


def _above(path: Path) -> Iterator[Path]:
    path = path.resolve()
    yield from (path if path.is_dir() else path.parent, *path.parents)
