"""What a change of one service costs in each output format, beside copying the finished file.

    python benchmarks/formats.py [--rounds N] [--folder DIR] [FORMAT ...]

The node is that of incremental.py: 260 MB of content in six services. For each round and format the option of one
service changes, everything that the format is made of is built first (the initrd, or the root), and then the format:
that `doit build`, less a `doit build` that finds nothing to do, is set beside `cp` of the file that came out. Formats
that are made of another format are timed with it. A format should take at most twice the time of copying; those that
compress the whole root (squashfs, erofs, docker) cannot.

Appends to benchmarks/history/formats.jsonl. Boot loaders are fetched from the host's Debian mirror the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import material
from incremental import Bench, Cost, measure

HOME = Path(__file__).resolve().parent
HISTORY = HOME / "history" / "formats.jsonl"
LIST = "from pipeline import formats; print(*formats.names())"
SKIPPED = ("rpi3", "kernel+initrd", "bootrd")
"""For another machine; what all others are made of; part of others."""


def names() -> list[str]:
    """Every format, as the package lists them."""
    listed = subprocess.run([sys.executable, "-c", LIST], cwd=HOME.parent, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name not in SKIPPED]


class Formats(Bench):
    def change(self, *formats: str) -> None:
        """A spec that no build has seen, with another option of one service."""
        self.write(option=f"A={self.another()}", formats=", ".join(("kernel+initrd", *formats)))

    def turn(self, name: str) -> tuple[Cost, Cost, int]:
        """What the format `name` costs when its inputs are there, what copying it costs, and its bytes."""
        self.change(name)
        self.doit("build:node:kernel+initrd")
        self.doit("build:node:rootfs")
        made, nothing = self.doit(f"build:node:{name}"), self.doit(f"build:node:{name}")
        build, copy = self.folder / "build" / "node", self.folder / "copy"
        newest = max((path for path in build.iterdir() if path.name not in ("SHA256SUMS", "manifest.json")),
                     key=lambda path: path.stat().st_mtime_ns)  # fmt: skip
        copy.unlink(missing_ok=True)
        copied = measure(["cp", str(newest), str(copy)], self.folder, self.folder / "cp.log")
        return made._replace(wall=made.wall - nothing.wall, cpu=made.cpu - nothing.cpu), copied, newest.stat().st_size


def run(bench: Formats, rounds: int, wanted: list[str]) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    for name in wanted:
        try:
            bench.change(name)
            bench.doit(f"build:node:{name}")  # fetches what it is made of
        except SystemExit as error:
            print(f"{name:20} {str(error).splitlines()[-1]}", flush=True)
            continue
        turns = [bench.turn(name) for _ in range(rounds)]
        medians = [statistics.median(turn[who][part] for turn in turns) for who in (0, 1) for part in (0, 1)]
        made, cpu, copied, copied_cpu = (round(each, 3) for each in medians)
        results.append({"format": name, "seconds": made, "cpu": cpu, "copied": copied, "copied_cpu": copied_cpu,
                        "bytes": turns[-1][2], "ratio": round(made / copied, 2)})
        print(shown(results[-1]), flush=True)
    return results


def shown(result: dict[str, Any]) -> str:
    line = "{format:20} {size:7.1f} MB  {seconds:6.2f} s {cpu:5.2f} s CPU  copied {copied:5.2f} s {copied_cpu:5.2f} s CPU"
    return f"{line}  {{ratio:5.2f}} times".format(**result, size=result["bytes"] / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; kept, and its images used again")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="nodekiln-bench-"))
    try:
        results = run(Formats(folder), given.rounds, given.formats or names())
    finally:
        if not given.folder:
            shutil.rmtree(folder)
    with HISTORY.open("a") as history:
        entry = {"when": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count(), "python": platform.python_version(),
                 "content": material.SIZE, "rows": results}
        history.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
