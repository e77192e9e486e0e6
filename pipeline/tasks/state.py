"""doit's own state, made safe for two doits at once and for a kill at any time.

doit's sqlite backend writes everything at the end, in one transaction: a killed run forgets all that it did, and the
first failing task locks the file for every other doit. Here each task is written when it is done, in WAL mode.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from doit.dependency import SqliteDB

NAME = ".doit.db"
"""The file, in the folder of results."""
BUSY_TIMEOUT = 30
"""Seconds to wait for another doit that is writing."""


class StateDB(SqliteDB):  # type: ignore[misc]
    """doit's `sqlite3` backend with write-ahead logging and one commit a task."""

    def _sqlite3(self, name: str) -> sqlite3.Connection:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        connection: sqlite3.Connection = _stock_sqlite3(self, name)
        connection.isolation_level = None
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT * 1000}")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        return connection

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        _stock_set(self, task_id, dependency, value)
        if dependency == "deps:":  # the last thing that doit says of a task
            self._conn.execute(
                "insert or replace into doit values (?,?)", (task_id, self.codec.encode(self._cache[task_id]))
            )
            self._dirty.discard(task_id)


_stock_sqlite3 = SqliteDB._sqlite3
_stock_set = SqliteDB.set


def install() -> None:
    """Make doit's `sqlite3` backend behave like StateDB (a dodo.py can name a backend, but not bring one)."""
    SqliteDB._sqlite3 = StateDB._sqlite3
    SqliteDB.set = StateDB.set


def saved(path: Path) -> dict[str, dict[str, Any]]:
    """What the tasks of the last successful runs returned, by task name; read beside any doit that is writing."""
    try:
        with contextlib.closing(
            sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
        ) as connection:
            rows = connection.execute("select task_id, task_data from doit").fetchall()
    except sqlite3.DatabaseError:  # no state, or none that we understand
        return {}
    return {task: json.loads(data).get("_values_:") or {} for task, data in rows}
