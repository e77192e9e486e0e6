"""Syslinux: what is installed here is what its own installer installs."""

from pathlib import Path
from struct import unpack_from

import pytest

from pipeline.model.tree import File, Tree
from pipeline.writers import FormatError, fat, syslinux
from tests.judges import need, run
from tests.writers import samples


@pytest.fixture(scope="module")
def program():
    return Path(need("/usr/bin/syslinux", "syslinux")).read_bytes()


def test_the_loader_is_taken_out_of_the_program(program):
    loader = syslinux.loader(program)
    assert loader.boot.endswith(b"\x55\xaa") and len(loader.boot) == 512
    assert loader.system.startswith(b"\r\nSYSLINUX") and loader.module.startswith(b"\x7fELF")


@pytest.mark.parametrize("program", [b"", b"\x7fELF" * 1000, b"\xeb\x58\x90SYSLINUX" + b"\r\nSYSLINUX" + bytes(4000)])
def test_what_is_no_syslinux_is_refused(program):
    with pytest.raises(FormatError, match="syslinux"):
        syslinux.loader(program)


def test_a_truncated_program_is_refused(program):
    with pytest.raises(FormatError):
        syslinux.loader(program[:100_000])


@pytest.mark.parametrize("size", [8 << 20, 64 << 20])
@pytest.mark.parametrize("before", [0, 200_000])
def test_syslinux_writes_the_same_bytes(store, tmp_path, program, size, before):
    """The installer gets a volume of ours without a loader; where it puts its file is where we are told to put it."""
    tree = Tree({"a": File(0o644, 0, 0, 0, (), store.content(samples.noise(before)))})
    plan = fat.plan(tree, size)
    plain = fat.boot_sector(plan, "NODE", 1, 2048)
    path = samples.written(store, lambda out: fat.write(plan, out, "NODE", plain), tmp_path / "fat.img")
    run("/usr/bin/syslinux", "--install", path, env={"MTOOLS_SKIP_CHECK": "1"})
    installed = path.read_bytes()

    loader = syslinux.loader(program)
    first = installed.index(loader.system[:16]) // 512
    boot, system = syslinux.install(loader, plain, first)
    assert installed[:512] == boot
    assert installed[first * 512 : first * 512 + len(system)] == system
    assert loader.module in installed


def test_sectors_beyond_32_bits_are_written_whole(program):
    loader = syslinux.loader(program)
    boot, system = syslinux.install(loader, bytes(512), 0x1_2345_6789)
    assert b"\x89\x67\x45\x23" in boot and len(system) == loader.size


def test_the_map_names_every_sector_once():
    data = syslinux._extents(100, 1000)
    pieces = [unpack_from("<QH", data, at) for at in range(0, len(data), syslinux.EXTENT)]
    assert [sector for first, count in pieces for sector in range(first, first + count)] == list(range(100, 1100))


def test_no_key_at_the_console_brings_a_prompt_for_another_command_line():
    assert b"\nPROMPT 0\nNOESCAPE 1\n" in syslinux.config("quiet")
