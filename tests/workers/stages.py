"""Stages for tests of workers. The workers of a test import this module, too."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.language.problem import StageProblem, warn
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.store import Store

VERSION = 1
HOST_STAGES = ("host",)


def nothing(store: Store, *, number: int) -> Digest:
    """A tree with one small file."""
    return store.put_tree(files([("number", store.content(b"%d" % number))]))


def host(store: Store, *, number: int) -> Digest:
    """A tree with the number of the process that made it."""
    return store.put_tree(files([("process", store.content(b"%d of %d" % (os.getpid(), number)))]))


def held(store: Store, *, gate: str) -> Digest:
    """Notes its process in the file `gate`.runs, and waits until something is written to the pipe `gate`."""
    with open(f"{gate}.runs", "a") as runs:
        runs.write(f"{os.getpid()}\n")
    data = b""
    while not data:  # whoever opened the pipe for an earlier run closes it
        data = Path(gate).read_bytes()
    return store.put_tree(files([("gate", store.content(data))]))


def large(store: Store, *, size: int) -> Digest:
    """A tree with a file of `size` bytes."""
    rope = store.rope()
    rope.write(bytes(range(256)) * (size // 256))
    return store.put_tree(files([("large", rope.finish())]))


def warning(store: Store, *, message: str) -> Digest:
    """Warns."""
    warn(("services", 2, "command"), message, "do it")
    return store.put_tree(files([]))


def refusing(store: Store, *, message: str) -> Digest:
    """Finds a problem in the spec."""
    raise StageProblem(("files", 1), message, "like this")


def over(store: Store, below: Digest) -> Digest:
    """A tree with the files of the tree `below` under other names."""
    return store.put_tree(files([(f"over {path}", entry.content) for path, entry in store.tree(below).files().items()]))
