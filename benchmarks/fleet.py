"""A fleet on one machine: what many specs that share their images cost, beside one of them.

    python benchmarks/fleet.py [--specs 50] [--idle 1000] [--size 48] [--rounds 3] [--folder DIR]

The yardstick is one spec from nothing, in the same run; a row's figure is how many times its CPU (user and system,
children included) the row took: that is trustworthy on a busy machine, unlike seconds. Images are local, so that
nothing is fetched. Two nodes: a small one, of which hardly anything but the work for each spec remains, and one of
`--size` MB of this host's Debian packages. Specs differ by a file, or by the command line alone, as hosts of a rack do.

The last row is a fleet with nothing to do. `disk` is what the file system lost by a row, beside the size of the
outputs: less where it can share blocks (XFS, btrfs). Appends to benchmarks/history/fleet.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import growth
import material
from incremental import HOME, Cost, measure

HISTORY = HOME / "history" / "fleet.jsonl"
FILES_PER_MB = 50
"""Files of the node of Debian's packages, for each MB."""
Texts = Callable[[int], str]
"""The spec of a number."""


def doit(folder: Path) -> Cost:
    return measure([sys.executable, "-m", "doit"], folder, folder / "doit.log")


def from_nothing(folder: Path, specs: Texts, count: int) -> Cost:
    growth.project(folder, [specs(number) for number in range(count)])
    return doit(folder)


def outputs(folder: Path) -> int:
    """Bytes of all outputs."""
    return sum(path.stat().st_size for path in (folder / "build").glob("n*/*"))


def free(folder: Path) -> int:
    """Free bytes of the file system, once it has written everything."""
    os.sync()
    status = os.statvfs(folder)
    return status.f_bfree * status.f_bsize


def fleet(folder: Path, node: str, given: argparse.Namespace, own: dict[str, Texts]) -> Iterator[dict[str, Any]]:
    """One spec, then the fleet for each way in which its specs differ. own: name of that way -> the specs."""
    first = next(iter(own.values()))
    one = statistics.median(from_nothing(folder, first, 1).cpu for _ in range(given.rounds))
    yield {"what": f"{node}: 1 spec from nothing", "cpu": one, "times": 1.0}
    for difference, specs in own.items():
        growth.project(folder, [])
        before = free(folder)
        cost = from_nothing(folder, specs, given.specs)
        sizes = {"disk": before - free(folder), "outputs": outputs(folder)}
        yield {"what": f"{node}: {given.specs}, own {difference}", **row(cost, one), **sizes}
        yield {"what": f"{node}: {given.specs}, again", **row(doit(folder), one)}


def row(cost: Cost, one: float) -> dict[str, Any]:
    return {**cost._asdict(), "times": cost.cpu / one}


def small(folder: Path) -> dict[str, Texts]:
    growth.images(folder)
    services = ["service"] * 6
    return {
        "file": lambda number: material.spec(motd=f"node {number}", services=services),
        "command line": lambda number: material.spec(cmdline=f"host={number}", services=services),
    }


def large(folder: Path, size: int) -> dict[str, Texts]:
    material.SIZE, material.FILES = size << 20, size * FILES_PER_MB
    material.node(folder)
    return {
        "file": lambda number: material.spec(motd=f"node {number}"),
        "command line": lambda number: material.spec(cmdline=f"host={number}"),
    }


def measured(folder: Path, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield from fleet(folder, "small node", given, small(folder))
    if given.idle:
        from_nothing(folder, small(folder)["file"], given.idle)
        cost = doit(folder)
        yield {"what": f"small node: {given.idle}, nothing to do", **cost._asdict()}
    if given.size:
        yield from fleet(folder, f"node of {given.size} MB", given, large(folder, given.size))


def shown(result: dict[str, Any]) -> str:
    times = f"{result['times']:6.2f} times" if "times" in result else " " * 12
    wall = f"{result['wall']:7.2f} s {result['memory']:5.0f} MiB" if "wall" in result else ""
    disk = f"  {result['disk'] >> 20} MiB on disk, outputs {result['outputs'] >> 20} MiB" if "disk" in result else ""
    return f"{result['what']:40} {result['cpu']:7.2f} s CPU {times}{wall}{disk}"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--specs", type=int, default=50)
    words.add_argument("--idle", type=int, default=1000, help="specs with nothing to do; 0: no such row")
    words.add_argument("--size", type=int, default=48, help="MB of the larger node; 0: none")
    words.add_argument("--rounds", type=int, default=3, help="of the yardstick, whose median counts")
    words.add_argument("--folder", help="where to build, such as on another file system")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="nodekiln-bench-", dir=given.folder) as folder:
        results = []
        for result in measured(Path(folder), given):
            results.append(result)
            print(shown(result), flush=True)
    HISTORY.parent.mkdir(exist_ok=True)
    with HISTORY.open("a") as history:
        history.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
