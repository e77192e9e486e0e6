"""An image from a registry into trees, beside public tools on the same image: skopeo copy, umoci unpack.

    python benchmarks/pull.py [--rounds N] [--folder DIR]

It makes an image of 400 MB in three gzip layers from the host's Debian packages, serves it with Debian's
docker-registry on loopback, and takes turns: one round of each, medians at the end, so a busy host slows all alike.
Every round starts without a store or layout, in a new process. Packages: skopeo, umoci, docker-registry.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import material

HOME = Path(__file__).resolve().parent
SIZE = 400 << 20
FILES = 20_000
LAYERS = 3
OURS = """
import sys; from pathlib import Path
from typing import NamedTuple
from pipeline.digest import Digest
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
store, (what, reference, image) = Store(Path(sys.argv[1])), sys.argv[2:]
if "p" in what: pull(store, reference=reference, manifest=image)
if "u" in what: unpack(store, Digest(image))
"""


def image(folder: Path) -> str:
    """Write an OCI layout with the image; the digest of its manifest."""
    files = sorted(material.chosen(SIZE, FILES))
    layers, diff_ids = [], []
    for number in range(LAYERS):
        names = b"\0".join(os.fsencode(path) for path in files[number::LAYERS])
        tar = ["tar", "--null", "--no-recursion", "--numeric-owner", "-P", "--transform=s,^/,,", "-cT", "-"]
        data = subprocess.run(tar, input=names, capture_output=True, check=True).stdout
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        packed = subprocess.run(["gzip", "-6n"], input=data, capture_output=True, check=True).stdout
        layers.append(blob(folder, "layer.v1.tar+gzip", packed))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    described = blob(folder, "config.v1+json", json.dumps(config).encode())
    manifest = {"schemaVersion": 2, "config": described, "layers": layers}
    described = blob(folder, "manifest.v1+json", json.dumps(manifest).encode())
    described["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    return str(described["digest"])


def blob(folder: Path, kind: str, data: bytes) -> dict[str, object]:
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / "sha256" / name).write_bytes(data)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{name}", "size": len(data)}


def registry(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Debian's registry on a port of its own choice; the process, and HOST:PORT."""
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": "127.0.0.1:0"},
    }
    folder.mkdir()
    (folder / "registry.yml").write_text(json.dumps(settings))
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["docker-registry", "serve", folder / "registry.yml"], stdout=out, stderr=out)
    for _ in range(1000):
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text()):
            return process, found[1]
        if process.poll() is not None:
            break
        time.sleep(0.01)
    process.kill()
    raise SystemExit(log.read_text())


class Cost(NamedTuple):
    """Of one command: seconds that a person waits, and seconds of CPU, which a busy host changes less."""

    wall: float
    cpu: float


def cost(*command: object) -> Cost:
    words = [str(word) for word in command]
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH") or str(HOME.parent)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def rounds(count: int, folder: Path, digest: str, host: str) -> dict[str, list[Cost]]:
    """What each round of each contestant cost."""
    layout, store = folder / "layout", folder / "store"
    remote = f"{host}/bench:1"
    ours = [sys.executable, "-c", OURS, store]
    took: dict[str, list[Cost]] = {}

    def turn(name: str, *command: object, keep: bool = False) -> None:
        for rest in ("copy", "bundle") if keep else ("copy", "bundle", "store"):
            shutil.rmtree(folder / rest, ignore_errors=True)
        took.setdefault(name, []).append(cost(*command))

    for _ in range(count):
        turn("skopeo copy", "skopeo", "copy", "--src-tls-verify=false", f"docker://{remote}", f"oci:{folder}/copy:x")
        turn("nodekiln pull", *ours, "p", remote, digest)
        turn("nodekiln unpack", *ours, "u", remote, digest, keep=True)
        turn("nodekiln pull and unpack", *ours, "pu", remote, digest)
        turn("umoci unpack", "umoci", "unpack", "--image", f"{layout}:x", folder / "bundle")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        digest = image(folder / "layout")
        process, host = registry(folder / "registry")
        try:
            push = ["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false"]
            cost(*push, f"oci:{folder}/layout:x", f"docker://{host}/bench:1")
            took = rounds(options.rounds, folder, digest, host)
        finally:
            process.terminate()
            process.wait()
    median = {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in took.items()}
    for name, (wall, cpu) in median.items():
        print(f"{name:26} {wall:6.2f} s, {cpu:6.2f} s of CPU")
    for mine, other in (("pull", "skopeo copy"), ("pull and unpack", "skopeo copy"), ("unpack", "umoci unpack")):
        ours, theirs = median[f"nodekiln {mine}"], median[other]
        print(f"{mine}: {theirs.wall / ours.wall:.2f} times as fast as {other}, {ours.cpu / theirs.cpu:.2f} of its CPU")


if __name__ == "__main__":
    main()
