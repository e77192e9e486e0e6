"""What a small change costs: every row beside its yardstick, `gzip -6 -n -c NODE.tar`, which is what LinuxKit needs for
any build of the same node.

    python benchmarks/incremental.py [--rounds N] [--folder DIR] [--keep]

It makes a node of 260 MB from the host's Debian packages, prints a table, and appends the figures to
benchmarks/history/incremental.jsonl. Nobody fails for being slow: a person reads the table. The column "without" is the
same change with NODEKILN_INCREMENTAL=off.
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
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import material

HOME = Path(__file__).resolve().parent
HISTORY = HOME / "history" / "incremental.jsonl"


class Cost(NamedTuple):
    """Of a process and its children: seconds that a person waited, seconds of CPU, the largest one's MiB of memory."""

    wall: float
    cpu: float
    memory: float


class Row(NamedTuple):
    """What is measured: `prepare` brings the project into the state before, `change` is the person's edit.

    alone: the stage that compresses what was changed; its time is allowed on top of `at_most`.
    """

    name: str
    at_most: float
    prepare: Callable[[], None]
    change: Callable[[], None]
    words: tuple[str, ...] = ("build:node",)
    alone: str = ""


def measure(words: list[str], folder: Path, output: Path, **variables: str) -> Cost:
    """Runs `words` in `folder`, with its output in a file. variables: of the environment."""
    with output.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            words, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment() | variables
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{output.read_text(errors='replace')[-3000:]}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def environment() -> dict[str, str]:
    """As a person's: this checkout's package, and its modules compiled once."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": os.environ.get("PYTHONPATH") or str(HOME.parent)}


class Bench:
    """A project with the node in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "specs").mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
        if not (folder / "images").exists():
            # in a process of its own: a child's peak memory counts from what its parent had when it was started
            subprocess.run([sys.executable, material.__file__, str(folder)], check=True)

    def doit(self, *words: str, **variables: str) -> Cost:
        return measure([sys.executable, "-m", "doit", *words], self.folder, self.folder / "doit.log", **variables)

    def yardstick(self) -> Cost:
        """What LinuxKit's build comes to: the root file system's tar, compressed."""
        return measure(["gzip", "-6", "-n", "-c", "node.tar"], self.folder, self.folder / "node.tar.gz")

    def write(self, **options: str) -> None:
        (self.folder / "specs" / "node.yml").write_text(material.spec(**options))

    def another(self) -> str:
        """A text that no build has seen before."""
        return f"{self.folder.name}-{time.time_ns()}"

    def built(self, **options: str) -> Callable[[], None]:
        """The state after a build of the spec with `options`."""

        def prepare() -> None:
            self.write(**options)
            self.doit("build:node")

        return prepare

    def pulled(self) -> None:
        """The state with all images' blobs in the cache, and nothing else."""
        self.write()
        for name in ("cache", "build"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        listed = subprocess.run(
            [sys.executable, "-m", "doit", "list", "--all", "-q"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=environment(),
            check=True,
        )
        self.doit(*(line for line in listed.stdout.split() if line.startswith("build:node:pull/")))
        shutil.rmtree(self.folder / "build", ignore_errors=True)

    def rows(self) -> list[Row]:
        base, nothing = self.built(), (lambda: None)
        return [
            Row("no-op", 0.016, base, nothing),
            Row("command line changed", 0.02, base, lambda: self.write(cmdline=self.another())),
            Row("one files: entry changed", 0.02, base, lambda: self.write(motd=self.another())),
            Row(
                "one service's options changed",
                0.03,
                base,
                lambda: self.write(option=f"A={self.another()}"),
                alone="fragment/services/s1/frame",
            ),
            Row(
                "one service's image changed",
                0.03,
                self.forgotten,
                lambda: self.write(first="service0-next"),
                alone="fragment/services/s0/image",
            ),
            Row("switch back", 0.02, self.built(first="service0-next"), self.write),
            Row("all pulled, nothing built", 0.20, self.pulled, nothing, ("-n", "2", "build:node")),
        ]

    def forgotten(self) -> None:
        """The base state, with no memory of the newer image but its blobs."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        shutil.copytree(self.folder / "cache.base", self.folder / "cache", symlinks=True)
        self.built()()

    def prepare(self) -> None:
        """The base build, with the newer image pulled, put aside; and the yardstick's tar."""
        for name in ("cache", "cache.base", "build"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.write(first="service0-next")
        self.doit("build:node")  # also writes the lock
        shutil.rmtree(self.folder / "cache")
        self.doit("build:node:pull/oci:images/service0-next")
        self.write()
        self.doit("build:node")
        shutil.copytree(self.folder / "cache", self.folder / "cache.base", symlinks=True)
        self.doit("build:node:tar")
        shutil.copy(self.folder / "build" / "node" / "node.tar", self.folder / "node.tar")

    def gzipped(self) -> int:
        """Bytes of the initrd with `compress: gzip`."""
        self.write()
        with (self.folder / "specs" / "node.yml").open("a") as spec:
            spec.write("  compress: gzip\n")
        self.doit("build:node")
        return (self.folder / "build" / "node" / "node-initrd.img").stat().st_size

    def alone(self, stage: str) -> float:
        """Seconds that `stage` took when it last ran, as the store remembers it; 0 where no stage is named."""
        if not stage:
            return 0.0
        found = []
        for path in (self.folder / "cache" / "actions").glob("*/*"):
            facts = json.loads(path.read_bytes())["facts"]
            if facts.get("name") == stage:
                found.append((path.stat().st_mtime, float(facts["seconds"])))
        if not found:
            raise SystemExit(f"there is no stage {stage} any more: what is to be taken off this row?")
        return max(found)[1]


def run(bench: Bench, rounds: int) -> list[dict[str, object]]:
    """Every row `rounds` times, each time beside its yardstick."""
    results: list[dict[str, object]] = []
    for row in bench.rows():
        costs, yards, alone, without = [], [], [], []
        for _ in range(rounds):
            row.prepare()
            row.change()
            yards.append(bench.yardstick())
            costs.append(bench.doit(*row.words))
            alone.append(bench.alone(row.alone))
            row.prepare()
            row.change()
            without.append(bench.doit(*row.words, NODEKILN_INCREMENTAL="off"))
        wall, cpu = (statistics.median(cost[part] for cost in costs) for part in (0, 1))
        yard, yard_cpu = (statistics.median(cost[part] for cost in yards) for part in (0, 1))
        results.append(
            {
                "row": row.name,
                "seconds": round(wall, 3),
                "cpu": round(cpu, 3),
                "without": round(statistics.median(cost.wall for cost in without), 3),
                "without_cpu": round(statistics.median(cost.cpu for cost in without), 3),
                "memory": round(max(cost.memory for cost in costs), 1),
                "yardstick": round(yard, 3),
                "yardstick_cpu": round(yard_cpu, 3),
                "ratio": round((wall - statistics.median(alone)) / yard, 4),
                "cpu_ratio": round(cpu / yard_cpu, 4),
                "at_most": row.at_most,
                "alone": round(statistics.median(alone), 3),
            }
        )
        print(shown(results[-1]), flush=True)
    return results


def shown(result: dict[str, object]) -> str:
    """A line of the table. The ratio of CPU times says something on a busy host, too."""
    line = "{row:28} {seconds:7.3f} s {cpu:6.2f} s CPU {memory:4.0f} MiB"
    line += "  without {without:7.3f} s {without_cpu:6.2f} s CPU  G {yardstick:6.2f} s  {ratio:.4f} G"
    return line.format(**result) + f" (CPU {result['cpu_ratio']:.4f}), at most {result['at_most']}"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--rounds", type=int, default=3, help="times that each row is measured")
    words.add_argument("--folder", type=Path, help="where to work; kept, and its images used again")
    given = words.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="nodekiln-bench-"))
    try:
        bench = Bench(folder)
        bench.prepare()
        sizes = {path.name: path.stat().st_size for path in (folder / "build" / "node").iterdir()}
        gzipped = (bench.yardstick(), (folder / "node.tar.gz").stat().st_size)[1]
        initrd = sizes["node-initrd.img"]
        small = bench.gzipped()
        below = 1 - initrd / gzipped
        print(
            f"node.tar {sizes['node.tar'] >> 20} MiB; initrd {initrd / 2**20:.1f} MiB, {below:.0%} below "
            f"the yardstick's {gzipped / 2**20:.1f} MiB; with compress: gzip {small / 2**20:.1f} MiB"
        )
        results = run(bench, given.rounds)
    finally:
        if not given.folder:
            shutil.rmtree(folder)
    HISTORY.parent.mkdir(exist_ok=True)
    with HISTORY.open("a") as history:
        entry = {
            "when": f"{datetime.now(UTC):%Y-%m-%d}",
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "initrd": initrd,
            "initrd_gzip": small,
            "tar": sizes["node.tar"],
            "gzip": gzipped,
            "rows": results,
        }
        history.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
