"""The shared cache: what the default node costs with and without one, and with a cache that has lost a part.

    .venv/bin/python benchmarks/shared.py

Each row is divided by a build from nothing without a cache, in the same run; packages are there already, as in node.py.
CPU is that of doit and its children; the server, in this process on loopback, is not counted. Outputs must be the same
bytes in every row.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.node import doit, edit, machine  # noqa: E402
from tests.shared.loopback import Cache, cache  # noqa: E402
from tests.shared.machines import key_file, trust  # noqa: E402

LATENCY = 0.020
"""Seconds that a far server takes longer for each request."""


class Cost(NamedTuple):
    cpu: float
    wall: float


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nodekiln-") as folder, cache() as server:
        place = Path(folder)
        os.environ |= {"NODEKILN_TRUST": trust("ci"), "NODEKILN_SHARED": "0"}
        packages(project(place, "first"))
        for line in rows(place, server):
            print(line, flush=True)
    print(f"{machine()}, load {os.getloadavg()[1]:.1f}")


def rows(place: Path, server: Cache):
    """Yields the lines of the table."""
    push = {"NODEKILN_SHARED": server.url, "NODEKILN_SHARED_PUSH": "1", "NODEKILN_SIGN": str(key_file(place, "ci"))}
    read = {"NODEKILN_SHARED": server.url}
    ci = project(place, "ci", packages=True)
    cold = build(project(place, "cold", packages=True), NODEKILN_SHARED="0")
    sums = (place / "cold/build/node/SHA256SUMS").read_text()
    outputs = sum(path.stat().st_size for path in (place / "cold/build/node").iterdir() if path.name in sums)
    yield f"from nothing: {cold.cpu:.1f} s of CPU, {cold.wall:.1f} s; outputs {outputs / 1e6:.0f} MB"

    def row(title: str, cost: Cost, name: str, more: str) -> str:
        assert (place / name / "build/node/SHA256SUMS").read_text() == sums, title
        return f"{title}: {cost.cpu / cold.cpu:.2f} of CPU, {cost.wall / cold.wall:.2f} of the time; {more}"

    cost = build(ci, **push)
    yield row("pushing everything", cost, "ci", moved(server))
    shutil.rmtree(ci / "build")
    server.log.clear()
    before = {*server.files}
    cost = build(ci, **push)
    yield row("pushing again", cost, "ci", f"{moved(server)}, {len({*server.files} - before)} new objects")
    server.log.clear()
    near = build(project(place, "laptop"), **read)
    down = bytes_down(server)
    yield row("empty machine", near, "laptop", f"{moved(server)}, {down / outputs:.2f} of the outputs in bytes")
    server.rule = lambda request: bool(time.sleep(LATENCY))
    far = build(project(place, "far"), **read)
    server.rule = lambda request: False
    yield row(f"{1000 * LATENCY:.0f} ms farther", far, "far", f"{far.wall / near.wall:.2f} of the time when near")
    before = {*server.files}
    edit(ci, 'image: "@pkg:images/rngd"', '    env: ["N=%d"]')
    build(ci, **push)
    new = {name: len(server.files[name]) for name in {*server.files} - before}
    yield f"an option of a service: {len(new)} objects, {sum(new.values()) / 1e6:.2f} MB pushed"
    chance, names = random.Random(1), server.names("cas")
    for name in chance.sample(names, len(names) * 3 // 10):
        del server.files[name]
    for name in chance.sample(server.names("cas"), 10):
        server.files[name] = b"x" + server.files[name][1:]
    cost = build(project(place, "lost", packages=True), **read)
    yield row("30 % of the blobs gone, 10 flipped", cost, "lost", "the same bytes")


def moved(server: Cache) -> str:
    statements, blobs = server.count("PUT", "ac"), server.count("PUT", "cas")
    return f"{server.count('GET')} GET, {server.count('HEAD')} HEAD, {statements} statements and {blobs} blobs put"


def bytes_down(server: Cache) -> int:
    return sum(len(server.files.get(path, b"")) for method, path in server.log if method == "GET")


def build(folder: Path, **environment: str) -> Cost:
    """Builds the default node in the project `folder`."""
    return timed(lambda: run(folder, "build:node", **environment))


def run(folder: Path, *words: str, **environment: str) -> None:
    own = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    subprocess.run(
        [Path(sys.executable).with_name("doit"), *words], cwd=folder, env=own, check=True, capture_output=True
    )


def timed(work: Callable[[], None]) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.perf_counter() - start)


def project(place: Path, name: str, packages: bool = False) -> Path:
    """Makes a project with an empty store; packages: but for the files that its packages were fetched as."""
    folder = place / name
    for source in ("specs", "images"):
        shutil.copytree(ROOT / source, folder / source)
    (folder / "pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
    if packages:
        shutil.copytree(place / "packages", folder / "cache/blobs/sha256", copy_function=os.link)
    return folder


def packages(folder: Path) -> None:
    """Fetches the packages of the default node, and keeps them beside `folder`."""
    import json

    if (known := ROOT / "cache/blobs").exists():
        shutil.copytree(known, folder / "cache/blobs", copy_function=os.link)
    doit(folder, "build:node")
    lock = json.loads((folder / "specs/node.lock").read_text())
    facts = [fact for recipe in lock["packages"].values() for fact in recipe.values()]
    target = folder.parent / "packages"
    target.mkdir()
    for digest in {package["sha256"] for fact in facts for package in fact["packages"]}:
        os.link(folder / "cache/blobs/sha256" / digest, target / digest)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
