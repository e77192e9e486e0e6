"""What is read of ELF files, beside what readelf reads; and that damage is an error and nothing else."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.programs import elf
from tests.judges import need
from tests.programs import craft


def facts(data: bytes) -> elf.Elf:
    return elf.read(lambda offset, count: data[offset : offset + count])


def judged(path: Path) -> tuple[str, list[str], str, str, str]:
    """Interpreter, needed libraries, soname, rpath and runpath, as readelf says them."""
    text = subprocess.run(["readelf", "-W", "-l", "-d", path], capture_output=True, text=True, check=True).stdout
    program = re.search(r"\[Requesting program interpreter: (.*)\]", text)
    result = {tag: re.findall(rf"\({tag}\).*\[(.*)\]", text) for tag in ("NEEDED", "SONAME", "RPATH", "RUNPATH")}
    soname, rpath, runpath = (("".join(result[tag])) for tag in ("SONAME", "RPATH", "RUNPATH"))
    return program[1] if program else "", result["NEEDED"], soname, rpath, runpath


def read(path: Path) -> tuple[str, list[str], str, str, str]:
    one = facts(path.read_bytes())
    return one.interpreter, list(one.needed), one.soname, one.rpath, one.runpath


@pytest.fixture(autouse=True)
def readelf() -> None:
    need("readelf", "binutils")


def test_programs_of_this_machine_are_read_as_readelf_reads_them() -> None:
    names = ("ls", "dpkg", "sh", "apt-get", "readelf")
    paths = [Path(result).resolve() for name in names if (result := shutil.which(name))]
    paths += [item for item in sorted(Path("/lib", "x86_64-linux-gnu").glob("lib*.so.*")) if item.is_file()][:40]
    assert len(paths) > 3
    for path in paths:
        assert read(path) == judged(path), path


@pytest.mark.parametrize(("bits", "machine", "order"), [(64, 62, "<"), (32, 3, "<"), (32, 40, ">"), (64, 22, ">")])
def test_crafted_programs_of_every_shape_are_read_as_readelf_reads_them(
    tmp_path: Path, bits: int, machine: int, order: str
) -> None:
    data = craft.program(
        ["liba.so", "libb.so.6"], "/lib/ld.so.1", soname="s", rpath="/a:/b", runpath="$ORIGIN/../lib",
        bits=bits, machine=machine, order=order,
    )  # fmt: skip
    (tmp_path / "made").write_bytes(data)
    assert read(tmp_path / "made") == judged(tmp_path / "made")
    assert read(tmp_path / "made") == ("/lib/ld.so.1", ["liba.so", "libb.so.6"], "s", "/a:/b", "$ORIGIN/../lib")
    assert (facts(data).bits, facts(data).machine) == (bits, machine)


WHOLE = craft.program([f"lib{number}.so" for number in range(20)], runpath="/opt/lib", bits=64)


CHANGES = some.lists(some.tuples(some.integers(0, len(WHOLE) - 1), some.integers(0, 255)), max_size=8)


@settings(deadline=None)
@given(CHANGES, some.integers(0, len(WHOLE)))
def test_damage_is_bad_or_something_else_and_never_more_than_the_limits(
    changes: list[tuple[int, int]], end: int
) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    most = 0

    def read(offset: int, count: int) -> bytes:
        nonlocal most
        most = max(most, count)
        return bytes(data[:end][offset : offset + count])

    try:
        result = elf.read(read)
        assert len(result.needed) <= elf.MOST_NEEDED
    except elf.BadElf:
        pass
    assert most <= elf.LARGEST_DYNAMIC


@settings(deadline=None)
@given(some.binary(max_size=200))
def test_any_bytes_behind_the_magic_number_are_read_or_refused(tail: bytes) -> None:
    for start in (b"", elf.MAGIC, elf.MAGIC + b"\2\1", elf.MAGIC + b"\1\2"):
        with contextlib.suppress(elf.BadElf):
            facts(start + tail)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not an ELF file"),
        (WHOLE[:64], "truncated"),
        (WHOLE[:-200], "truncated"),
        (WHOLE[:54] + b"\x20\0" + WHOLE[56:], "program headers have 32 bytes, not 56"),
        (WHOLE[:56] + b"\xff\xff" + WHOLE[58:], "more than 65536 bytes"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, complaint: str) -> None:
    with pytest.raises(elf.BadElf, match=complaint):
        facts(data)
