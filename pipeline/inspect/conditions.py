"""Conditions: what a rebuild happens under. None of it may decide a byte, so `doit verify` varies it all on purpose."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

NOBODY = 65534
"""The uid that owns nothing, everywhere."""
EARLY, LATE = 86_400 * 366, 2_209_032_000
"""1971, before FAT's first day, and 2040, when 32 bits of seconds since 1970 are over."""
SHARED_MEMORY = Path("/dev/shm")
"""A file system of its own on every Linux."""
DEEP = 180
"""Characters that a long path has more than a short one: far from PATH_MAX, longer than any buffer for a name."""


@dataclass(frozen=True)
class Conditions:
    """The defaults are the plainest ones, which the first run of every verification has.

    other_user: nobody for root, root (of a namespace) for everybody else. now: seconds since 1970 that the process
    takes for today (None: the real ones). listing: seed of the order in which directories are listed (0: sorted).
    threads: doit's -n. hard_links: whether fetched blobs come as such. warm: build once, forget half of it, and build
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
        """The variables that carry conditions."""
        return {"TZ": self.zone, "LANG": self.locale, "LC_ALL": self.locale, "PYTHONHASHSEED": str(self.hash_seed)}

    def said(self) -> str:
        """What differs from the plainest conditions, for people."""
        plain = Conditions()
        fields = [field.name for field in dataclasses.fields(self) if field.name != "name"]
        changed = [(name, getattr(self, name)) for name in fields if getattr(self, name) != getattr(plain, name)]
        return ", ".join(_said(name.replace("_", " "), value) for name, value in changed)


def _said(name: str, value: object) -> str:
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
"""Everything different at once: what one of the conditions decides shows here already."""
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
"""One condition at a time, so that the one that matters has a name."""


def chosen(runs: int, full: bool) -> list[Conditions]:
    """The conditions of `runs` runs (at least two), or of all."""
    every = [PLAIN, OTHER, *SINGLE]
    return every if full else every[: max(2, runs)]


def possible(wanted: Conditions, needed: list[Path]) -> tuple[Conditions, list[str], str]:
    """`wanted` without what this machine cannot do, the command that a run is started with, and what cannot be done.

    needed: what another user has to be able to read.
    """
    missing: list[str] = []
    command: list[str] = []
    if wanted.other_user:
        command, reason = _as_other_user(needed)
        if reason:
            wanted = dataclasses.replace(wanted, other_user=False)
            missing.append(reason)
    if wanted.shared_memory and not os.access(SHARED_MEMORY, os.W_OK):
        wanted = dataclasses.replace(wanted, shared_memory=False)
        missing.append(f"no {SHARED_MEMORY}")
    return wanted, command, "; ".join(missing)


def _as_other_user(needed: list[Path]) -> tuple[list[str], str]:
    """The words before a command that another user shall run: nobody for root, root (of a namespace) for anyone else.

    Where folders above `needed` are closed to others, nobody gets the right to read (and no other right).
    """
    import shutil
    import subprocess

    tool = "setpriv" if os.getuid() == 0 else "unshare"
    if shutil.which(tool) is None:
        return [], f"another user needs {tool} (Debian: util-linux)"
    command = ["unshare", "--map-root-user", "--"]
    if os.getuid() == 0:
        closed = any(not folder.stat().st_mode & 0o001 for path in needed for folder in _above(path))
        rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"] if closed else []
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights, "--"]
    tried = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, text=True, check=False)
    return (command, "") if tried.returncode == 0 else ([], f"another user: {tried.stderr.strip()}")


def _above(path: Path) -> Iterator[Path]:
    path = path.resolve()
    yield from (path if path.is_dir() else path.parent, *path.parents)
