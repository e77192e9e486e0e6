"""A disk as a node has it, made by others' tools; and a project to tamper with."""

import os
import shutil
import struct
import subprocess
from functools import partial
from pathlib import Path

import pytest

from pipeline.spec.build import Build, filled_in
from tests.judges import need, run
from tests.project import EMPTY_LOCK, ROOT, new_project, run_doit

SECTOR = 512
START = 2048


@pytest.fixture
def initrd(tmp_path):
    """An initrd of two zstd archives, the second for services/sshd, whose program has the time stamp `mtime`."""

    def make(mtime: int, content: str = "sshd") -> bytes:
        packed = b""
        service = {SSHD: content, CONFIG: '{"process": {"args": ["sshd"]}}'}
        for number, files in enumerate([{"etc/hostname": "node"}, service]):
            root = tmp_path / f"initrd-{mtime}-{content}-{number}"
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            for path in sorted(root.rglob("*"), reverse=True):
                os.utime(path, (mtime if path.name == "sshd" and path.is_file() else 1,) * 2)
            names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
            command = [need("cpio"), "-D", root, "-o", "-H", "newc", "--quiet", "--reproducible"]
            archive = subprocess.run(command, input=names.encode(), capture_output=True, check=True).stdout
            packed += subprocess.run([need("zstd"), "-qc"], input=archive, capture_output=True, check=True).stdout
        return packed

    return make


SSHD = "containers/services/sshd/rootfs/usr/sbin/sshd"
CONFIG = "containers/services/sshd/config.json"


@pytest.fixture
def disk(tmp_path, initrd):
    """A disk with such an initrd in a unified kernel image."""

    def make(name: str, *given: object, cmdline: str = "quiet") -> Path:
        image = tmp_path / f"{name}.img"
        program = tmp_path / f"{name}.efi"
        program.write_bytes(uki({".cmdline": cmdline.encode(), ".initrd": initrd(*given)}))
        os.utime(program, (315532800, 315532800))
        fat = tmp_path / f"{name}.fat"
        run(need("mkfs.fat", "dosfstools"), "-C", "--invariant", "-F", "16", "-s", "1", fat, 8192)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}
        need("mmd", "mtools")
        run("mmd", "-i", fat, "::EFI", "::EFI/Linux", env=environment)
        run("mcopy", "-m", "-i", fat, program, "::EFI/Linux/node.efi", env=environment)
        image.write_bytes(mbr(fat.stat().st_size // SECTOR) + bytes((START - 1) * SECTOR) + fat.read_bytes())
        return image

    return make


def mbr(sectors: int) -> bytes:
    entry = struct.pack("<B3sB3sII", 0x80, bytes(3), 0xEF, bytes(3), START, sectors)
    return bytes(440) + b"\x12\x34\x56\x78\0\0" + entry + bytes(48) + b"\x55\xaa"


def uki(sections: dict[str, bytes]) -> bytes:
    """A program of nothing but sections."""
    at = 0x1000
    optional = b"\x0b\x02" + bytes(238)
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
    head += struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, len(optional), 0x22) + optional
    table, data = b"", b""
    for name, content in sections.items():
        padded = content + bytes(-len(content) % SECTOR)
        place = at + len(data)
        table += struct.pack("<8sIIII16x", name.encode(), len(content), place, len(padded), place)
        data += padded
    return (head + table).ljust(at, b"\0") + data


# a project that is built in a second: a few files, no image; with its own copy of the pipeline to tamper with

ARCH = filled_in(Build()).arch[0]
"""This machine's, as images are called for it."""
SPEC = """\
files:
  - path: etc/hostname
    contents: node
    mode: "0644"
  - path: etc/deep/motd
    contents: welcome
    mode: "0644"
build:
  formats: [kernel+initrd]
"""


@pytest.fixture
def project(tmp_path) -> Path:
    root = new_project(tmp_path / "project", node=SPEC)
    (root / "specs/node.lock").write_text(EMPTY_LOCK)
    for name in ("pipeline", "images"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def run_copy(project: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs doit in `project` with the copy of the pipeline that lies there; it must end with `code`."""
    done = run_doit(*words, cwd=project, clean=True, PYTHONPATH="")
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def doit(project):
    """Run doit in the project, with its own copy of the pipeline; the finished process is returned."""

    return partial(run_copy, project)


@pytest.fixture
def tamper(project):
    """Append `code` to the project's copy of the stage module `name`; in it, `honest` is the stage as it was."""

    def append(name: str, code: str) -> None:
        with open(project / f"pipeline/stages/{name}.py", "a") as module:
            module.write(f"\n\nhonest = {name}\n\n\n{code}")

    return append
