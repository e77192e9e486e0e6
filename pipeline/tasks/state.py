"""State: doit's own record of the last runs, safe for two doits at once and for a kill at any time.

doit's sqlite backend writes everything at the end, in one transaction: a killed run forgets everything, and the first
failing task locks the file for every other doit. Here each task is written when it is done, in WAL mode.

A damaged state is begun anew: its tasks are done again, and mostly restored out of the store.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doit.dependency import DatabaseException, SqliteDB

from pipeline.host import atomic
from pipeline.project.project import STATE as NAME
from pipeline.tasks import crash

__all__ = ["NAME", "StateDB", "saved"]

BUSY_TIMEOUT = 30
"""Seconds to wait for another doit that is writing."""
SOUND = (
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
)  # fmt: skip
"""Primary result codes of sqlite3 that do not mean a damaged file."""


class StateDB(SqliteDB):  # type: ignore[misc]
    """doit's `sqlite3` backend with write-ahead logging and one commit a task."""

    desc = "sqlite3, one commit a task"

    @crash.guarded
    def _sqlite3(self, name: str) -> sqlite3.Connection:
        _refuse_symlinks(Path(name))
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._open(name)
        except (sqlite3.Error, DatabaseException) as error:
            if not _damaged(name, error.__context__ if isinstance(error, DatabaseException) else error):
                raise
        _remove(name)
        return self._open(name)

    def _open(self, name: str) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._sqlite3(name)
        connection.isolation_level = None
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT * 1000}")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        return connection

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        super().set(task_id, dependency, value)
        if dependency == "deps:":  # the last value that doit sets for a task
            self._safely(self._write, task_id)
            self._dirty.discard(task_id)

    def _write(self, task_id: str) -> None:
        self._conn.execute(
            "insert or replace into doit values (?,?)", (task_id, self.codec.encode(self._cache[task_id]))
        )

    def _get_task_data(self, task_id: str) -> dict[str, Any]:
        data = self._safely(super()._get_task_data, task_id)
        return data if isinstance(data, dict) else {}

    def in_(self, task_id: str) -> bool:
        return bool(self._safely(super().in_, task_id))

    def remove(self, task_id: str) -> None:
        self._safely(super().remove, task_id)

    def remove_all(self) -> None:
        self._safely(super().remove_all)

    def dump(self) -> None:
        self._safely(super().dump)

    @crash.guarded
    def _safely(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Returns `call(*arguments)`, with a new state if the old one proves to be damaged."""
        try:
            return call(*arguments)
        except sqlite3.Error as error:
            if not _damaged(self.name, error):
                raise
        except ValueError:  # a row that is no JSON any more
            pass
        self._conn.close()
        _remove(self.name)
        self._conn: sqlite3.Connection = self._open(self.name)
        return call(*arguments)


def _refuse_symlinks(database: Path) -> None:
    """Raises SymlinkOnPath if a symlink leads to the database, its folder or the files beside it."""
    folder = atomic.path_without_symlinks(database.parent.parent, database.parent.name)
    for link in atomic.symlinks(folder):
        if link.name.startswith(database.name):
            raise atomic.SymlinkOnPath(link)


def _damaged(name: str, error: BaseException | None) -> bool:
    """Returns whether an error means a damaged file, rather than one that cannot be read or written now."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF not in SOUND and os.access(name, os.W_OK)


def _remove(name: str) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(name + ending).unlink(missing_ok=True)


def saved(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the values of the last successful runs by task name; another doit may be writing."""
    try:
        with contextlib.closing(
            sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
        ) as connection:
            rows = connection.execute("select task_id, task_data from doit").fetchall()
        return {task: json.loads(data).get("_values_:") or {} for task, data in rows}
    except (sqlite3.DatabaseError, ValueError, AttributeError):  # no state, or a damaged one
        return {}
