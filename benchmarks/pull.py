"""Images from a registry into trees, beside public tools on the same images: skopeo copy, umoci unpack.

    python benchmarks/pull.py [--rounds N] [--folder DIR]

It makes images of 400 MB from the host's Debian packages, serves them with Debian's docker-registry, and takes turns:
one round of each contestant, medians at the end, so that a busy host slows all alike. Every round begins without a
store or layout, in a new process. Once over loopback as it is, and (as root) once over a network of 1 Gbit/s: loopback
in a namespace of its own, with a token bucket (tc-tbf(8)).

    fetch     the image's blobs, their digests verified: what skopeo copy does
    pull      the same, uncompressed as they arrive and the diff ids verified: the stage `pull`
    index     the same, and the tree: the stages `pull` and `unpack`
    unpack    layers that are there into a tree: what umoci unpack does, which writes its files

The last lines say what the parts cost one core: nothing that uncompresses and verifies can be faster than they are.
Prints a table and appends to benchmarks/history/pull.jsonl. Debian packages: skopeo, umoci, docker-registry, zstd.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import material

HOME = Path(__file__).resolve().parent
HISTORY = HOME / "history" / "pull.jsonl"
SIZE = 400 << 20
FILES = 20_000
SLOW = 'ip link set lo up && tc qdisc add dev lo root tbf rate 1gbit burst 512k latency 50ms && exec "$@"'
OURS = """
import gc, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pipeline.model.digest import Digest
from pipeline.oci import fetch, source
from pipeline.oci.reference import parse
from pipeline.oci.pull import CONNECTIONS
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
gc.set_threshold(100_000, 50, 50)  # as in doit's process
store, (what, reference, image) = Store(Path(sys.argv[1])), sys.argv[2:]
if what == "fetch":
    places = source.sources(parse(reference))
    document = fetch.manifest(places, image, reference).document
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda blob: fetch.blob(store, places, blob, reference), (document.config, *document.layers)))
if what in ("pull", "index"):
    pull(store, reference=reference, manifest=image)
if what in ("index", "unpack"):
    unpack(store, Digest(image))
"""
PARTS = """
import hashlib, io, sys, time
from pathlib import Path
from pipeline.oci.decompress import Budget, decompress
def timed(what, run):
    began = time.perf_counter(); result = run(); print(f"{what} {time.perf_counter() - began:.2f}"); return result
layers = [path.read_bytes() for path in map(Path, sys.argv[1:])]
tars = timed("uncompressing", lambda: [[*decompress(io.BytesIO(data), Budget(len(data)))] for data in layers])
timed("sha256-of-what-comes", lambda: [hashlib.sha256(data).digest() for data in layers])
timed("sha256-of-the-tars", lambda: [hashlib.sha256(chunk).digest() for tar in tars for chunk in tar])
"""


class Image(NamedTuple):
    packer: str
    layers: int

    def __str__(self) -> str:
        return f"{self.packer}-{self.layers}"


IMAGES = (Image("gzip", 1), Image("gzip", 3), Image("gzip", 12), Image("zstd", 3))
PACKERS = {"gzip": ["gzip", "-6n"], "zstd": ["zstd", "-3q"]}


class Cost(NamedTuple):
    """Of one command: seconds that a person waits, and seconds of CPU, which a busy host changes less."""

    wall: float
    cpu: float


# the images


def make(folder: Path, shape: Image) -> None:
    """Write an OCI layout with an image of this shape; its folders stand before their files, as in every image."""
    files, layers, diff_ids = sorted(material.chosen(SIZE, FILES)), [], []
    share = -(-len(files) // shape.layers)
    for start in range(0, len(files), share):
        its = files[start : start + share]
        folders = sorted({above for path in its for above in path.parents[:-1]})
        names = b"\0".join(os.fsencode(path) for path in (*folders, *its))
        tar = ["tar", "--null", "--no-recursion", "--numeric-owner", "-P", "--transform=s,^/,,", "-cT", "-"]
        data = subprocess.run(tar, input=names, capture_output=True, check=True).stdout
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        packed = subprocess.run(PACKERS[shape.packer], input=data, capture_output=True, check=True).stdout
        layers.append(blob(folder, f"layer.v1.tar+{shape.packer}", packed))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    described = blob(folder, "config.v1+json", json.dumps(config).encode())
    manifest = {"schemaVersion": 2, "config": described, "layers": layers}
    described = blob(folder, "manifest.v1+json", json.dumps(manifest).encode())
    described["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))


def blob(folder: Path, kind: str, data: bytes) -> dict[str, object]:
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / "sha256" / name).write_bytes(data)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{name}", "size": len(data)}


def digest(layout: Path) -> str:
    """Of the manifest of a layout's only image."""
    return str(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Debian's registry on a port of its own choice: HOST:PORT."""
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": "127.0.0.1:0"},
    }
    folder.mkdir(exist_ok=True)
    (folder / "registry.yml").write_text(json.dumps(settings))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["docker-registry", "serve", folder / "registry.yml"], stdout=out, stderr=out)
    try:
        while not (found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.01)
        yield found[1]
    finally:
        process.terminate()
        process.wait()


# the measuring


def cost(*command: object) -> Cost:
    words = [str(word) for word in command]
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH") or str(HOME.parent)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def contestants(folder: Path, shape: Image, host: str, local: bool) -> dict[str, Callable[[], Cost]]:
    """What takes its turn, by name; `local` ones too, which use no network."""
    layout, store = folder / str(shape), folder / "store"
    remote, image = f"{host}/{shape}:1", digest(layout)
    copy = ["skopeo", "copy", "--src-tls-verify=false", f"docker://{remote}", f"oci:{folder}/copy:x"]

    def ours(what: str) -> Cost:
        return cost(sys.executable, "-c", OURS, store, what, remote, image)

    def unpack() -> Cost:
        shutil.copytree(layout / "blobs", store / "blobs")
        return ours("unpack")

    found: dict[str, Callable[[], Cost]] = {"skopeo copy": lambda: cost(*copy)}
    found |= {what: lambda what=what: ours(what) for what in ("fetch", "pull", "index")}
    if local:
        found["unpack"] = unpack
        if shape.packer == "gzip":  # Debian's umoci knows no zstd
            found["umoci unpack"] = lambda: cost("umoci", "unpack", "--image", f"{layout}:x", folder / "bundle")
    return found


def measured(folder: Path, shape: Image, host: str, rounds: int, local: bool) -> dict[str, Cost]:
    """The median of the rounds, by contestant."""
    cost(
        "skopeo",
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        f"oci:{folder}/{shape}:x",
        f"docker://{host}/{shape}:1",
    )
    took: dict[str, list[Cost]] = {}
    for _ in range(rounds):
        for name, run in contestants(folder, shape, host, local).items():
            for rest in ("copy", "bundle", "store"):
                shutil.rmtree(folder / rest, ignore_errors=True)
            took.setdefault(name, []).append(run())
    return {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in took.items()}


def parts(layout: Path) -> dict[str, float]:
    """Seconds that the unavoidable takes one core, by what it is."""
    blobs = sorted(path for path in (layout / "blobs" / "sha256").iterdir() if path.stat().st_size > 1 << 20)
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH") or str(HOME.parent)}
    words = [sys.executable, "-c", PARTS, *map(str, blobs)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
    return {what: float(seconds) for what, seconds in map(str.split, said.splitlines())}


def shown(network: str, shape: Image, found: dict[str, Cost]) -> str:
    """A line of the table: seconds (and CPU), and how many times as fast as the other tool."""

    def against(name: str, other: str) -> str:
        ratio = f", {found[other].wall / found[name].wall:.2f}x {other}" if other in found else ""
        return f"{name} {found[name].wall:.2f} s ({found[name].cpu:.2f}){ratio}"

    others = [
        f"{name} {found[name].wall:.2f} s ({found[name].cpu:.2f})"
        for name in ("skopeo copy", "umoci unpack")
        if name in found
    ]
    own = [against(name, "skopeo copy") for name in ("fetch", "pull", "index")]
    own += [against("unpack", "umoci unpack")] if "unpack" in found else []
    return "\n    ".join([f"{network}, {shape}: {', '.join(others)}", *own])


def over(network: str, folder: Path, rounds: int) -> list[dict[str, object]]:
    """Measure all images over the network that there is now."""
    results: list[dict[str, object]] = []
    with registry(folder / "registry") as host:
        for shape in IMAGES:
            found = measured(folder, shape, host, rounds, network == "loopback")
            print(shown(network, shape, found), flush=True)
            costs = {name: [round(took.wall, 3), round(took.cpu, 3)] for name, took in found.items()}
            results.append({"network": network, "image": str(shape), "costs": costs})
    return results


def over_slow(folder: Path, rounds: int) -> list[dict[str, object]]:
    """The same in a namespace whose loopback carries 1 Gbit/s; nothing where that cannot be made."""
    again = [sys.executable, __file__, "--folder", str(folder), "--rounds", str(rounds), "--inside"]
    if os.getuid() != 0 or not shutil.which("tc") or not shutil.which("unshare"):
        print("1 Gbit/s: not measured, it takes root, unshare(1) and tc(8)")
        return []
    subprocess.run(["unshare", "-n", "sh", "-c", SLOW, "sh", *again], check=True)
    return json.loads((folder / "slow.json").read_text())  # type: ignore[no-any-return]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--folder", type=Path, help="where to work; kept, and its images used again")
    words.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.inside:
        (given.folder / "slow.json").write_text(json.dumps(over("1 Gbit/s", given.folder, given.rounds)))
        return
    folder = given.folder or Path(tempfile.mkdtemp(prefix="nodekiln-bench-"))
    try:
        for shape in IMAGES:
            if not (folder / str(shape) / "index.json").exists():
                make(folder / str(shape), shape)
        results = [*over("loopback", folder, given.rounds), *over_slow(folder, given.rounds)]
        bounds = {str(shape): parts(folder / str(shape)) for shape in IMAGES}
    finally:
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)
    for name, its in bounds.items():
        print(
            f"{name}, on one core: "
            + ", ".join(f"{what.replace('-', ' ')} {seconds:.2f} s" for what, seconds in its.items())
        )
    HISTORY.parent.mkdir(exist_ok=True)
    host = {"cpus": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    with HISTORY.open("a") as history:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        history.write(json.dumps({"when": when, "host": host, "results": results, "parts": bounds}) + "\n")


if __name__ == "__main__":
    main()
