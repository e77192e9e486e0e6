"""Kernel parameters of sysctl.d files: the parser in Python, and the script that sets them on a node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernel import sysctl
from tests.judges import need, needs_root
from tests.project import ROOT

KEYS = ("kernel/a", "kernel/b.c", "net/conf/all/x", "net/conf/default/x", "net/conf/eth0.1/x")
"""Parameters of the kernel in these tests."""


def values(*folders: dict[str, str]) -> dict[str, str | None]:
    named = [{name: (name, text) for name, text in folder.items()} for folder in folders]
    lines = sysctl.merged(named)
    found = {key: sysctl.decisive(lines, key) for key in KEYS}
    return {key: line and line.value for key, line in found.items()}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("kernel.kptr_restrict", "kernel/kptr_restrict"),
        ("net.ipv4.conf.eth0/1.x", "net/ipv4/conf/eth0.1/x"),
        ("net/ipv4/conf/eth0.1/x", "net/ipv4/conf/eth0.1/x"),
        ("one", "one"),
    ],
)
def test_the_first_separator_of_a_key_decides(key: str, path: str) -> None:
    assert sysctl.path(key) == path


def test_a_line_has_a_place_and_may_be_optional() -> None:
    text = "# words\n; words\n\n - kernel.a=1 2 \r\nno assignment\nkernel/a ="
    assert [*sysctl.parse(text, "a.conf")] == [
        sysctl.Assignment("kernel/a", "1 2", True, "a.conf", 4),
        sysctl.Assignment("kernel/a", "", False, "a.conf", 6),
    ]


def test_the_last_line_decides_and_a_later_folder_replaces_a_file() -> None:
    image = {"00-a.conf": "kernel.a = 1\nkernel.b/c = 1", "10-b.conf": "kernel.a = 5", "README": "kernel.a = 9"}
    assert values(image)["kernel/a"] == "5"
    assert values(image, {"10-b.conf": ""})["kernel/a"] == "1"
    assert values(image, {"05.conf": "kernel.b/c = 2"})["kernel/b.c"] == "2"


def test_a_wildcard_is_one_name() -> None:
    found = values({"a.conf": "net.*.x = 1\nnet.conf.*.x = 2\nnet.conf.all.x = 3"})
    assert [found[key] for key in KEYS[2:]] == ["3", "2", "2"]
    assert values({"a.conf": "*.x = 1"})["net/conf/all/x"] is None


lines = st.builds(
    "{}{}{}={}{}{}".format,
    st.sampled_from(["", " ", "-", " - ", "# ", ";"]),
    st.sampled_from(
        ["kernel.a", "kernel/a", "kernel.b/c", "net.conf.*.x", "net/conf/*/x", "net.*.all.x", "net.conf.eth0/1.x"]
    ),
    st.sampled_from(["", " ", "\t "]),
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(["1", "2 3", "4\t5", "a=b"]),
    st.sampled_from(["", " ", "\r"]),
)
names = st.sampled_from(["00.conf", "10-b.conf", "10-a.conf", "z.conf", "none"])
folders = st.dictionaries(names, st.lists(lines, max_size=5).map("\n".join), max_size=3)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A root in which the script of images/sysctl runs, on files that stand for the kernel's parameters."""
    for folder in ("bin", "dev"):
        (tmp_path / folder).mkdir()
    need("/usr/share/doc/busybox-static/copyright", "busybox-static")
    shutil.copy(need("busybox"), tmp_path / "bin")
    (tmp_path / "bin/sh").symlink_to("busybox")
    shutil.copy(ROOT / "images/sysctl/sysctl", tmp_path / "bin/sysctl")
    os.mknod(tmp_path / "dev/null", 0o020666, os.makedev(1, 3))
    return tmp_path


@needs_root
def test_the_script_of_the_node_sets_the_same(node: Path) -> None:
    @settings(max_examples=30)
    @given(folders, folders)
    def agree(image: dict[str, str], own: dict[str, str]) -> None:
        for folder, files in (("etc/sysctl.d", image), ("etc/sysctl.d.node", own)):
            shutil.rmtree(node / folder, ignore_errors=True)
            (node / folder).mkdir(parents=True)
            for name, text in files.items():
                (node / folder / name).write_bytes(text.encode() + b"\n")
        for key in KEYS:
            (node / "proc/sys" / key).parent.mkdir(parents=True, exist_ok=True)
            (node / "proc/sys" / key).write_text("unset\n")
        subprocess.run(["chroot", node, "/bin/sysctl"], capture_output=True, check=True)
        found = {key: (node / "proc/sys" / key).read_text().rstrip("\n") for key in KEYS}
        assert found == {key: "unset" if value is None else value for key, value in values(image, own).items()}

    agree()
