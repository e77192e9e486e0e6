"""A disk as a node has it: partition, FAT, a unified kernel image, an initrd of two archives, made by others' tools."""

import os
import struct
import subprocess
from pathlib import Path

import pytest

from pipeline.store import Store
from tests.judges import need, run

SECTOR = 512
START = 2048


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


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
