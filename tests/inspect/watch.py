"""Notes what a stage sees of the world. The project of test_conditions has a copy of this as pipeline/watch.py."""

from __future__ import annotations

import datetime
import functools
import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER, BLOB = "", ""
"""Folder of the notes, with a file for each run, and the locked blob: the test writes both into the copy."""


def watched(stage: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the stage, which now notes what it sees before it runs."""

    @functools.wraps(stage)
    def noting(*inputs: Any, **params: Any) -> Any:
        run = re.search(r"/verify/[^/]*-(\d+)/", os.getcwd())[1]
        with open(f"{FOLDER}/{run}", "a") as file:
            file.write(json.dumps({"stage": f"{stage.__module__}.{stage.__name__}"} | _seen()) + "\n")
        return stage(*inputs, **params)

    return noting


def _seen() -> dict[str, Any]:
    runner = getattr(getattr(threading.current_thread(), "_target", None), "__self__", None)  # doit's, of its threads
    return {
        "user": os.getuid(),
        "umask": int(re.search(r"Umask:\s+(\d+)", Path("/proc/self/status").read_text())[1], 8),
        "zone": time.localtime(0).tm_hour,
        "locale": [os.environ["LANG"], os.environ["LC_ALL"]],
        "hash": hash("nodekiln"),
        "dates": [time.time(), datetime.datetime.now().timestamp(), os.stat("pyproject.toml").st_mtime],
        "processors": [os.cpu_count(), len(os.sched_getaffinity(0))],
        "threads": getattr(runner, "num_process", 1),
        "listing": os.listdir("pipeline/oci"),
        "links": os.stat(f"cache/blobs/sha256/{BLOB}").st_nlink > 1,
        "path": len(os.getcwd()),
        "other file system": os.stat(os.environ["TMPDIR"]).st_dev != os.stat(".").st_dev,
        "only the locked blob": os.listdir("cache/blobs/sha256") == [BLOB],
    }
