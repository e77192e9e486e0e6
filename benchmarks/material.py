"""Material: images and specs to measure with, made from the Debian packages that this host has installed.

Real files compress, collide and nest as files of real nodes do. What a host has differs, so figures of two hosts are
compared by their ratio to a yardstick that is measured beside them, never as seconds.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import stat
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

PROGRAM = b"\0 a program of nobody knows what kind"
"""What is started in an image: nothing that it would need is looked for."""
SIZE = 260 << 20
"""Bytes of content of the node: the issue asks for 250 MB or more."""
FILES = 15500
SERVICES = 6
LARGEST = 24 << 20
"""Bytes of the largest file that is taken, so that no single one decides everything."""
PACKED = frozenset((".gz", ".xz", ".bz2", ".zst", ".zip", ".jar", ".whl", ".png", ".jpg", ".woff2"))
RUN = 50
"""Files that stay together when they are shared out: those of one folder mostly."""
EPOCH = 1700000000

Entry = tuple[str, Path | bytes]
"""A path inside an image, and the file of the host (or the bytes) that it holds."""


def packaged() -> Iterator[Path]:
    """Regular files of installed Debian packages, package by package in alphabetical order."""
    names = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\n"], capture_output=True, text=True, check=True)
    for package in sorted(set(names.stdout.split())):
        listed = subprocess.run(["dpkg-query", "-L", package], capture_output=True, text=True, check=False)
        for line in listed.stdout.splitlines():
            path = Path(line)
            if line.startswith("/usr/") and not path.is_symlink() and path.is_file() and os.access(path, os.R_OK):
                yield path


def chosen(size: int, count: int) -> list[Path]:
    """At least `size` bytes in at least `count` files: programs and libraries for the size, small files for the number.

    As in a node: hardly anything is compressed already.
    """
    paths = [path for path in dict.fromkeys(packaged()) if path.suffix not in PACKED]
    sizes = {path: path.stat().st_size for path in paths if 0 < path.stat().st_size <= LARGEST}
    if sum(sizes.values()) < size or len(sizes) < count:
        raise SystemExit(f"this host's packages have only {len(sizes)} files, {sum(sizes.values()) >> 20} MiB")
    programs = [path for path in sizes if path.open("rb").read(4) == b"\x7fELF"]
    order = random.Random(1).sample(sorted(programs), len(programs))
    taken: dict[Path, None] = {}
    total = 0
    for path in order:
        if total >= size:
            break
        taken[path] = None
        total += sizes[path]
    for path in sorted(sizes, key=lambda path: (sizes[path], path)):
        if len(taken) >= count:
            break
        taken.setdefault(path)
    return sorted(taken)


def shares(files: list[Path]) -> list[list[Path]]:
    """`files` in SERVICES + 2 parts (kernel's modules, init, services) of much the same size: runs of neighbours."""
    parts = SERVICES + 2
    runs = [files[start : start + RUN] for start in range(0, len(files), RUN)]
    random.Random(3).shuffle(runs)
    return [[path for run in runs[part::parts] for path in run] for part in range(parts)]


def archive(entries: Iterable[Entry]) -> bytes:
    """A tar of `entries`, with the directories that they need."""
    out, made = io.BytesIO(), set[str]()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in entries:
            for above in reversed(Path(name).parents[:-1]):
                if str(above) not in made:
                    made.add(str(above))
                    tar.addfile(_info(str(above), tarfile.DIRTYPE, 0o755, 0))
            data = content if isinstance(content, bytes) else content.read_bytes()
            mode = 0o755 if isinstance(content, bytes) else stat.S_IMODE(content.stat().st_mode)
            tar.addfile(_info(name, tarfile.REGTYPE, mode, len(data)), io.BytesIO(data))
    return out.getvalue()


def _info(name: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime = kind, mode, size, EPOCH
    return info


def image(folder: Path, entries: Iterable[Entry], command: str = "/bin/service") -> None:
    """An OCI image layout in `folder` with one gzip layer (image-spec, image-layout.md)."""
    tar = archive(entries)
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    layer = packer.compress(tar) + packer.flush()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [command], "Env": ["PATH=/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        }
    ).encode()
    prefix = "application/vnd.oci.image."
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{prefix}manifest.v1+json",
            "config": _blob(folder, f"{prefix}config.v1+json", config),
            "layers": [_blob(folder, f"{prefix}layer.v1.tar+gzip", layer)],
        }
    ).encode()
    index = {"schemaVersion": 2, "manifests": [_blob(folder, f"{prefix}manifest.v1+json", manifest)]}
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))


def _blob(folder: Path, media_type: str, data: bytes) -> dict[str, object]:
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / "sha256" / name).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}


def node(project: Path) -> None:
    """The images of the measured node, in `project`/images."""
    modules, init, *services = shares(chosen(SIZE, FILES))
    kernel = random.Random(2).randbytes(12 << 20)
    tar = archive((f"lib/modules/6.1.0/{path.relative_to('/usr')}", path) for path in modules)
    image(project / "images/kernel", [("kernel", kernel), ("kernel.tar", tar)])
    programs = [("init", PROGRAM), ("usr/bin/containerd", PROGRAM)]
    image(project / "images/init", [*programs, *((str(path)[1:], path) for path in init)])
    for number, files in enumerate(services):
        entries: list[Entry] = [("bin/service", PROGRAM), *((str(path)[1:], path) for path in files)]
        image(project / f"images/service{number}", entries)
        if number == 0:
            image(project / "images/service0-next", [*entries, ("etc/next", b"a newer version\n")])


def spec(
    cmdline: str = "console=ttyS0",
    motd: str = "hello",
    option: str = "A=1",
    first: str = "service0",
    formats: str = "kernel+initrd",
    services: Iterable[str] = (),
) -> str:
    """The text of the node's spec, with what the rows change."""
    named = list(services) or [first, *(f"service{number}" for number in range(1, SERVICES))]
    lines = [
        f"kernel:\n  image: oci:images/kernel\n  cmdline: {cmdline}\ninit: [oci:images/init]\nservices:",
        *(
            f"  - name: s{number}\n    image: oci:images/{name}\n    env: [{option if number == 1 else 'A=1'}]"
            for number, name in enumerate(named)
        ),
        f"files:\n  - path: etc/motd\n    contents: {motd}\nbuild:\n  formats: [{formats}]\n",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    node(Path(sys.argv[1]))
