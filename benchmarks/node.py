"""The default node: how large it is, and how long it takes to build from nothing, again, and after a change.

    .venv/bin/python benchmarks/node.py [--runs 5]

Each time is the median of several runs; the yardstick, measured in between, is `gzip -6` of the node's root file system
as a tar, since that is about what a LinuxKit build of it takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOIT = Path(sys.executable).with_name("doit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="nodekiln-") as folder:
        project = Path(folder)
        for name in ("specs", "images"):
            shutil.copytree(ROOT / name, project / name)
        (project / "pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
        report(project, runs)


def report(project: Path, runs: int) -> None:
    doit(project, "build:node", "build:node:tar")
    yardstick: list[float] = []
    shutil.copy(project / "build/node/node.tar", project)

    def row(name: str, before: Callable[[], None], count: int = runs) -> None:
        times = []
        for _ in range(count):
            before()
            times.append(timed(lambda: doit(project, "build:node")))
            yardstick.append(timed(lambda: gzip(project / "node.tar")))
        middle, yard = statistics.median(times), statistics.median(yardstick)
        print(f"{name:44} {middle:8.2f} s   {middle / yard:6.3f} of gzip -6 ({yard:.2f} s)", flush=True)

    row("nothing changed", lambda: None)
    row("a service's options changed", lambda: edit(project, 'image: "@pkg:images/rngd"', '    env: ["N=%d"]'))
    row("the command line changed", lambda: edit(project, "cmdline:", "", suffix=' n=%d"}'))
    row("empty cache, packages fetched", lambda: forget_all_but_packages(project), count=min(runs, 3))
    sizes(project, "default")
    spec = project / "specs/node.yml"
    spec.write_text(spec.read_text().rstrip() + "\n  compress: zstd:19\n")
    doit(project, "build:node")
    sizes(project, "zstd:19")


def doit(project: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([DOIT, *words], cwd=project, env=environment, check=True, capture_output=True)


def gzip(path: Path) -> None:
    subprocess.run(["gzip", "-6", "-n", "-c", path], stdout=subprocess.DEVNULL, check=True)


def timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def edit(project: Path, line: str, addition: str, suffix: str = "") -> None:
    """Change the spec at the line that has `line`: another number each time."""
    edit.count += 1  # type: ignore[attr-defined]
    spec = project / "specs/node.yml"
    original = (ROOT / "specs/node.yml").read_text().splitlines()
    at = next(number for number, text in enumerate(original) if line in text)
    if suffix:
        original[at] = original[at].rstrip('"}') + suffix % edit.count  # type: ignore[attr-defined]
    else:
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


def sizes(project: Path, name: str) -> None:
    for file in ("node.qcow2", "node-initrd.img", "node-kernel"):
        print(f"{file:20} {name:10} {(project / 'build/node' / file).stat().st_size / 1e6:8.1f} MB", flush=True)


if __name__ == "__main__":
    main()
