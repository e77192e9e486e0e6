"""The kernel's command line: what no kernel takes, and what a boot loader would not pass on, at its line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import formats
from pipeline.container import cmdline
from pipeline.formats import netboot, rpi3
from pipeline.language.problem import Problems, StageProblem
from pipeline.model.errors import BadInput
from pipeline.model.tree import files
from pipeline.planning.load import load
from pipeline.planning.lock import Lock
from pipeline.planning.plan import plan
from pipeline.run import qemu
from pipeline.stages import boot_partition
from pipeline.store import Store

LOADED = [name for name in (*formats.names(), "raw-efi.zst") if formats.loaders(name)]
HANDED = ["kernel+initrd", "kernel+squashfs", "kernel+erofs", "kernel+iso", "tar", "tar-kernel-initrd", "docker"]
ROOM = {
    "raw-bios": 2046 - len("BOOT_IMAGE=/kernel  initrd=/initrd.img"),
    "vmdk": 2046 - len("BOOT_IMAGE=/kernel  initrd=/initrd.img"),
    "uki": 2047,
    "netboot": 2047 - len("a-kernel initrd=initrd.img "),
    "rpi3": 1023,
    "ext4-efi": 2047 - len(" root=PARTUUID=00000000-0000-0000-0000-000000000000 rootfstype=ext4 ro"),
}
"""Format -> bytes of a command line."""


def planned(folder: Path, line: str, name: str, arch: str = "amd64") -> None:
    text = f"kernel:\n  image: k:1\n  cmdline: {line!r}\nbuild: {{formats: [{name}], arch: {arch}}}\n"
    (folder / "a.yml").write_text(text)
    plan(load(folder / "a.yml"), Lock({}), arch)


def refused(folder: Path, line: str, name: str) -> str:
    with pytest.raises(Problems) as caught:
        planned(folder, line, name)
    (problem,) = {str(item).replace(f"{folder}/", "") for item in caught.value.problems}
    return problem


def test_the_formats_that_a_boot_loader_starts_are_those() -> None:
    booted = {name for name in formats.names() if formats.products(name) & {"kernel", "initrd"}}
    handed = {"kernel+initrd", "kernel+squashfs", "kernel+erofs", "kernel+iso", "tar-kernel-initrd"}
    assert booted - set(LOADED) == handed


@pytest.mark.parametrize("name", HANDED)
def test_no_kernel_takes_more_than_its_own_limit(name: str, tmp_path: Path) -> None:
    planned(tmp_path, "a" * 2047, name)
    result = refused(tmp_path, "a" * 2048, name)
    assert result == "a.yml:3:12: the command line has 2048 bytes; the kernel accepts at most 2047"


@pytest.mark.parametrize(("parts", "problem"), [
    (["a", {"arm64": "b\x07"}], "3:28: the command line contains the control character '\\x07' (remove it)"),
    (["a" * 1000, {"arm64": "b" * 1047}],
     "3:12: the command line has 2048 bytes; the kernel accepts at most 2047"),
])  # fmt: skip
def test_parts_of_a_line_are_refused_alone_and_together(parts: list[object], problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(f"kernel:\n  image: k:1\n  cmdline: {json.dumps(parts)}\n")
    with pytest.raises(Problems) as caught:
        load(tmp_path / "a.yml")
    assert [str(item) for item in caught.value.problems] == [f"{tmp_path}/a.yml:{problem}"]


@pytest.mark.parametrize("name", LOADED)
def test_every_format_takes_what_its_loaders_pass_on_and_no_byte_more(name: str, tmp_path: Path) -> None:
    room = min(item.longest - len(item.template.format(line="", node="a")) for item in formats.loaders(name))
    assert ROOM.get(name, room) == room
    planned(tmp_path, "a" * room, name)
    result = refused(tmp_path, "a" * (room + 1), name)
    assert result.startswith("a.yml:3:12: ") and f"has {room + 1} bytes; " in result and f"at most {room}" in result


def test_a_format_that_only_a_build_asks_for_names_the_line_as_well(tmp_path: Path) -> None:
    text = f"kernel:\n  image: k:1\n  cmdline: {'a' * 2040}\nbuild: {{arch: amd64, size: 1G}}\n"
    (tmp_path / "a.yml").write_text(text)
    action = plan(load(tmp_path / "a.yml"), Lock({}), "amd64").format("raw-bios")
    assert action.where is not None
    assert action.where(cmdline.PATH) == f"{tmp_path}/a.yml:3:12"
    assert action.where(("size",)) == f"{tmp_path}/a.yml:4:28"


def test_bytes_count_and_not_characters(tmp_path: Path) -> None:
    planned(tmp_path, "é" * 1023, "kernel+initrd")
    assert "has 2048 bytes" in refused(tmp_path, "é" * 1024, "kernel+initrd")


def test_each_architecture_has_its_own_line_and_place(tmp_path: Path) -> None:
    text = f"kernel:\n  image: k:1\n  cmdline:\n    amd64: a\n    arm64: {'a' * 3000}\n"
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(Problems, match=r"a\.yml:5:12: the command line has 3000 bytes"):
        load(tmp_path / "a.yml")


@pytest.mark.parametrize("character", ["\0", "\x1b", "\r", "\x7f"])
def test_control_characters_are_refused(character: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(f'kernel: {{image: k:1, cmdline: "a{character!r}b"}}\n'.replace("'", ""))
    with pytest.raises(Problems, match="the control character"):
        load(tmp_path / "a.yml")


def test_lines_and_tabs_are_spaces(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("kernel:\n  image: k:1\n  cmdline: |\n    a\tb\n    c\n")
    assert load(tmp_path / "a.yml")["kernel"].cmdline == "a\tb\nc\n"


def test_a_quotation_mark_that_is_never_closed_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("kernel: {image: k:1, cmdline: 'a=\"b c'}\n")
    assert [str(item.place)[-4:] for item in load(tmp_path / "a.yml").warnings] == ["1:31"]


@pytest.mark.parametrize(
    ("name", "line", "word"),
    [
        ("raw-bios", "a initrd=/x", "initrd=/x"),
        ("iso-hybrid", "initrd=/x", "initrd=/x"),
        ("netboot", "a ; b", ";"),
        ("netboot", "x=${net0/mac}", "x=${net0/mac}"),
        ("netboot", "initrd=x", "initrd=x"),
        ("rpi3", "x=${y}", "${"),
        ("rpi3", "x=$(y)", "$("),
        ("rpi3", "x='y z'", "'"),
        ("rpi3", "x=a\\b", "\\"),
    ],
)
def test_a_word_that_a_loader_reads_itself_is_refused(name: str, line: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        f"kernel:\n  image: k:1\n  cmdline: |\n    {line}\nbuild: {{formats: [{name}], arch: amd64}}\n"
    )
    with pytest.raises(Problems, match=re.escape(f"a.yml:3:12: {name}: ")) as caught:
        plan(load(tmp_path / "a.yml"), Lock({}), "amd64")
    assert f"interprets {word!r}" in str(caught.value)


def on_a_volume(line: str, store: Store) -> None:
    parts = {"kernel": b"k", "initrd.img": b"i", "cmdline": line.encode()}
    tree = store.put_tree(files((name, store.content(data)) for name, data in parts.items()))
    boot_partition.linux_files(store, tree, tree)


@pytest.mark.parametrize(
    "write",
    [on_a_volume, lambda line, store: rpi3.extlinux(line), lambda line, store: netboot.script("node", line)],
    ids=["syslinux", "rpi3", "ipxe"],
)
def test_what_writes_a_configuration_holds_the_limit_too(write, store: Store) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StageProblem, match="has 2040 bytes") as caught:
        write("a" * 2040, store)
    assert caught.value.path == cmdline.PATH


@settings(deadline=None)
@given(st.text(st.sampled_from("ab= #;|&${}'\"\\\n"), max_size=30))
def test_the_words_that_ipxe_passes_on_are_those_of_the_spec(line: str) -> None:
    if cmdline.IPXE.refusal(line, "node") is None:
        command = netboot.script("node", line).splitlines()[1]
        assert command.split()[:3] == ["kernel", "node-kernel", "initrd=initrd.img"]
        assert command.split()[3:] == line.split()


def test_what_run_appends_counts(tmp_path: Path) -> None:
    (tmp_path / "a-cmdline").write_text("a" * 2000)
    assert qemu.start(formats.find("kernel+initrd"), tmp_path / "a", "amd64", "b" * 46)[-1].endswith(" " + "b" * 46)
    with pytest.raises(BadInput, match="--append: the command line has 2048 bytes"):
        qemu.start(formats.find("kernel+initrd"), tmp_path / "a", "amd64", "b" * 47)
