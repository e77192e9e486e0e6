"""What a change of one service costs in each output format, beside copying the finished file.

    python benchmarks/formats.py [--rounds N] [--folder DIR] [FORMAT ...]

The node is that of incremental.py: 260 MB of content in six services. In each round the option of one service changes,
what every format is made of (kernel, initrd, root) is brought up to date, and then the format is made, with those that
it is made of in turn, and written to its place, where the last one is: that is timed, and set beside `cp` of the files
that came out, to where there are none. Two times are shown: until the files are in their places, whole, which should
take at most twice as long as `cp`; and until their sha256 is known, too, which alone takes longer than twice a `cp`
where memory is fast. doit's own start is in incremental.py's rows.

Appends to benchmarks/history/formats.jsonl. Boot loaders are fetched from the host's Debian mirror the first time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import material
from incremental import Bench, environment, measure

HOME = Path(__file__).resolve().parent
HISTORY = HOME / "history" / "formats.jsonl"
SKIPPED = ("rpi3", "kernel+initrd", "bootrd", "netboot")
"""For another machine; what all others are made of; a part of others; a script."""

BEFORE = 2
"""Turns that are not counted: there is no older file to be changed yet (pipeline/incremental/seed.py)."""


def names() -> list[str]:
    """Every format, as the package lists them."""
    code = "from pipeline import formats; print(*formats.names())"
    listed = subprocess.run([sys.executable, "-c", code], cwd=HOME.parent, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name not in SKIPPED]


def turn(name: str, folder: Path) -> None:
    """Make the format `name` once, in this process, and print what that took: seconds until the files were in their
    places (the system notes when they were renamed, to some milliseconds), seconds and seconds of CPU until the end."""
    from pipeline.engine.action import closure
    from pipeline.planning.plan import plan
    from pipeline.project.project import Project
    from pipeline.tasks.process import COLLECT_RARELY  # as a build has it

    project = Project(folder)
    store, planned = project.store, plan(project.load("node"), project.lock("node"), "amd64")
    action = planned.format(name)
    gc.set_threshold(*COLLECT_RARELY)
    for each in closure(action):
        if not each.name.startswith("format/"):
            each.perform(store)
    began, cpu, clock = time.perf_counter(), time.process_time(), time.time_ns()
    result, _ = action.perform(store)
    for suffix, entry in store.tree(result).items():
        if suffix not in ("-kernel", "-cmdline"):
            store.export(entry.content, folder / "made" / f"node{suffix}")  # type: ignore[union-attr]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    renamed = max(path.stat().st_ctime_ns for path in (folder / "made").iterdir())
    print(json.dumps([(renamed - clock) / 1e9, seconds, cpu]))


def turns(bench: Bench, name: str, rounds: int) -> dict[str, Any]:
    folder = bench.folder
    made, copied = [], []
    shutil.rmtree(folder / "made", ignore_errors=True)
    (folder / "made").mkdir()
    for _ in range(BEFORE + rounds):
        bench.write(option=f"A={bench.another()}", formats=f"kernel+initrd, {name}")
        words = [sys.executable, __file__, "--turn", name]
        done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        made.append(json.loads(done.stdout.splitlines()[-1]))
        files = sorted(map(str, (folder / "made").iterdir()))
        for _ in range(2):  # the second one has memory at hand that the system knows already
            shutil.rmtree(folder / "copied", ignore_errors=True)
            (folder / "copied").mkdir()
            copy = measure(["cp", *files, str(folder / "copied")], folder, folder / "cp.log")
        copied.append(copy)
    placed, seconds, cpu = (statistics.median(each[part] for each in made[BEFORE:]) for part in range(3))
    copy, copy_cpu = (statistics.median(each[part] for each in copied) for part in (0, 1))
    return {"format": name, "bytes": sum(map(os.path.getsize, files)), "placed": round(placed, 3),
            "seconds": round(seconds, 3), "cpu": round(cpu, 3), "copied": round(copy, 3),
            "copied_cpu": round(copy_cpu, 3), "ratio": round(placed / copy, 2),
            "summed": round(seconds / copy, 2)}  # fmt: skip


def shown(result: dict[str, Any]) -> str:
    line = "{format:18} {size:6.1f} MB  in place {placed:6.3f} s  with sha256 {seconds:6.3f} s {cpu:6.3f} s CPU"
    line += "  copied {copied:6.3f} s  {ratio:5.2f} and {summed:5.2f} times"
    return line.format(**result, size=result["bytes"] / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; kept, and its images used again")
    parser.add_argument("--turn", metavar="FORMAT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        turn(given.turn, Path.cwd())
        return
    folder = given.folder or Path(tempfile.mkdtemp(prefix="nodekiln-bench-"))
    wanted, results = given.formats or names(), []
    try:
        bench = Bench(folder)
        for name in wanted:
            bench.write(formats=f"kernel+initrd, {name}")
            bench.doit("lock:node")  # what the boot loaders are made of, too
            results.append(turns(bench, name, given.rounds))
            print(shown(results[-1]), flush=True)
    finally:
        if not given.folder:
            shutil.rmtree(folder)
    with HISTORY.open("a") as history:
        entry = {
            "when": f"{datetime.now(UTC):%Y-%m-%d}",
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "content": material.SIZE,
            "rows": results,
        }
        history.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
