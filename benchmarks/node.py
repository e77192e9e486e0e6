"""README's figures: how large the default node is, and how long it takes to build from nothing, again, after a change.

    .venv/bin/python benchmarks/node.py [--runs 5]      prints them as README has them
    .venv/bin/python benchmarks/node.py --write         writes them into README.md

Each figure is the median of several runs, divided by a yardstick that is measured in between: `gzip -6` of the node's
root file system as a tar, about what a LinuxKit build of it takes. The machine, the date and its load are printed too.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOIT = Path(sys.executable).with_name("doit")
README = ROOT / "README.md"
PLACE = re.compile(r"(<!-- benchmarks/node.py --write .*? -->\n).*?(<!-- end of the figures -->\n)", re.DOTALL)
"""The place of the figures in README.md."""
BUSY = 0.5
"""Load of the machine, in running processes for each processor, from which on it is called busy."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the figures into README.md")
    arguments = parser.parse_args()
    busy = os.getloadavg()[1] > BUSY * (os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="nodekiln-") as folder:
        project = Path(folder)
        for name in ("specs", "images"):
            shutil.copytree(ROOT / name, project / name)
        (project / "pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
        text = "".join(f"{line}\n" for line in report(project, arguments.runs, busy))
    print(text, end="")
    if arguments.write:
        README.write_text(PLACE.sub(lambda found: f"{found[1]}{text}{found[2]}", README.read_text("utf-8")), "utf-8")


def report(project: Path, runs: int, busy: bool) -> Iterator[str]:
    """Yields the lines of README's figures."""
    doit(project, "build:node", "build:node:tar")
    shutil.copy(project / "build/node/node.tar", project)
    yardstick: list[float] = []

    def row(before: Callable[[], None], count: int = runs) -> float:
        times = []
        for _ in range(count):
            before()
            times.append(timed(lambda: doit(project, "build:node")))
            yardstick.append(timed(lambda: gzip(project / "node.tar")))
        return statistics.median(times)

    def option() -> None:
        edit(project, 'image: "@pkg:images/rngd"', '    env: ["N=%d"]')

    measured = {
        "nothing changed": row(lambda: None),
        "an option of a service changed": row(option),
        "the command line changed": row(lambda: edit(project, "cmdline:", "    - n=%d")),
        "switched back": row(lambda: switch_back(project)),
        "empty cache, packages fetched": row(lambda: forget_all_but_packages(project), count=min(runs, 3)),
    }
    whole, tar = statistics.median(yardstick), (project / "node.tar").stat().st_size
    default = sizes(project)
    spec = project / "specs/node.yml"
    spec.write_text(spec.read_text().rstrip() + "\n  compress: zstd:19\n")
    doit(project, "build:node")
    unit = f"of `gzip -6` of its root as a tar ({whole:.1f} s), measured in the same run"
    yield f"The default node ({tar / 1e6:.0f} MB unpacked), in times {unit}:"
    yield ""
    yield "| `nodekiln build:node` (qcow2-bios and kernel+initrd) | of `gzip -6` |"
    yield "|---|---|"
    yield from (f"| {name} | {seconds / whole:.3f} |" for name, seconds in measured.items())
    yield ""
    conditions = f"{machine()}{', busy with other work' * busy}"
    yield f"Medians of {runs}; {conditions}. {default}; with `compress: zstd:19` {sizes(project)}."


def machine() -> str:
    """Returns the date, the processors and the Python that measured."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = re.sub(r"\(R\)|\(TM\)", "", model[1]) if model else platform.machine()
    today = datetime.datetime.now(datetime.UTC).date()
    return f"{today}, {os.cpu_count()} processors ({name.strip()}), Python {platform.python_version()}"


def doit(project: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([DOIT, *words], cwd=project, env=environment, check=True, capture_output=True)


def gzip(path: Path) -> None:
    subprocess.run(["gzip", "-6", "-n", "-c", path], stdout=subprocess.DEVNULL, check=True)


def timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def edit(project: Path, line: str, addition: str) -> None:
    """Adds `addition` to the spec below the line that has `line`: another number each time."""
    edit.count += 1  # type: ignore[attr-defined]
    spec = project / "specs/node.yml"
    original = (ROOT / "specs/node.yml").read_text().splitlines()
    at = next(number for number, text in enumerate(original) if line in text)
    original.insert(at + 1, addition % edit.count)  # type: ignore[attr-defined]
    spec.write_text("\n".join(original) + "\n")


edit.count = 0  # type: ignore[attr-defined]


def forget_all_but_packages(project: Path) -> None:
    """An empty cache, but for the .deb files (which are what they were fetched as)."""
    import json

    lock = json.loads((project / "specs/node.lock").read_text())
    facts = [fact for recipe in lock["packages"].values() for fact in recipe.values()]
    hashes = {package["sha256"] for fact in facts for package in fact["packages"]}
    kept = project / "kept"
    kept.mkdir(exist_ok=True)
    for digest in hashes:
        blob = project / "cache/blobs/sha256" / digest
        if blob.exists():
            blob.rename(kept / digest)
    shutil.rmtree(project / "cache")
    shutil.rmtree(project / "build")
    (project / "cache/blobs/sha256").mkdir(parents=True)
    for blob in kept.iterdir():
        blob.rename(project / "cache/blobs/sha256" / blob.name)


def switch_back(project: Path) -> None:
    """Takes the spec to a state that was built before, by way of another one."""
    edit(project, "cmdline:", "    - n=%d")
    doit(project, "build:node")
    shutil.copy(ROOT / "specs/node.yml", project / "specs/node.yml")


def sizes(project: Path) -> str:
    """Returns the sizes of the disk and of the initrd."""
    disk, initrd = ((project / "build/node" / name).stat().st_size / 1e6 for name in ("node.qcow2", "node-initrd.img"))
    return f"node.qcow2 {disk:.1f} MB, initrd {initrd:.1f} MB"


if __name__ == "__main__":
    main()
