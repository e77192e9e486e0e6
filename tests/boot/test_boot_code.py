"""The boot code without a boot: its Lua policies, and the script that sets kernel parameters, in a root of its own."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.judges import need, needs_root, run
from tests.project import ROOT


def test_the_policies_written_in_lua():
    run(need("lua5.3"), ROOT / "images/init/tests/run.lua", ROOT / "images/init/tests/boot.lua")


@pytest.fixture
def sysctl(tmp_path):
    """A function: files of the image, files of the node -> exit code, output, errors, and what became of SYSTEM."""
    for folder in ("bin", "dev", "etc/sysctl.d", "etc/sysctl.d.node"):
        (tmp_path / folder).mkdir(parents=True)
    need("/usr/share/doc/busybox-static/copyright", "busybox-static")
    shutil.copy(need("busybox"), tmp_path / "bin")
    (tmp_path / "bin/sh").symlink_to("busybox")
    shutil.copy(ROOT / "images/sysctl/sysctl", tmp_path / "bin/sysctl")
    os.mknod(tmp_path / "dev/null", 0o020666, os.makedev(1, 3))
    for key, value in SYSTEM.items():
        path = tmp_path / "proc/sys" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    (tmp_path / "proc/sys/kernel/refused").mkdir()  # every write to it fails

    def apply(image, node=None):
        for folder, files in (("etc/sysctl.d", image), ("etc/sysctl.d.node", node or {})):
            for name, text in files.items():
                (tmp_path / folder / name).write_text(text)
        done = subprocess.run(["chroot", tmp_path, "/bin/sysctl"], capture_output=True, text=True)
        found = {key: (tmp_path / "proc/sys" / key).read_text().rstrip("\n") for key in SYSTEM}
        return done.returncode, done.stdout, done.stderr, found

    return apply


SYSTEM = {
    "kernel/a": "0",
    "kernel/b": "0",
    "net/ipv4/conf/all/x": "9",
    "net/ipv4/conf/default/x": "9",
    "net/ipv4/conf/eth0.100/x": "9",
}


@needs_root
def test_the_last_line_that_names_a_key_decides_and_the_node_s_files_stand_in_for_the_image_s(sysctl):
    image = {"00-a.conf": "# words\n; words\n\nkernel.a = 1\nkernel/b=1 2\t3  \n", "10-b.conf": "kernel.a = 5\n"}
    code, output, errors, found = sysctl(image, {"10-b.conf": "", "20-c.conf": "  kernel.a=7"})
    assert (code, output, errors) == (0, "", "")
    assert (found["kernel/a"], found["kernel/b"]) == ("7", "1 2\t3")


@needs_root
def test_a_wildcard_is_every_card_and_a_later_line_one_of_them(sysctl):
    text = "net.ipv4.conf.*.x = 1\nnet.ipv4.conf.all.x = 0\nnet.ipv4.conf.eth0/100.x = 2\n"
    code, _, _, found = sysctl({"00-a.conf": text})
    assert code == 0
    assert {key[14:-2]: value for key, value in found.items() if "conf" in key} == {
        "all": "0", "default": "1", "eth0.100": "2",
    }  # fmt: skip


@needs_root
def test_what_may_fail_is_silent_only_where_there_is_no_such_key(sysctl):
    text = "-kernel.missing = 1\n-net.ipv9.*.x = 1\n-kernel.refused = 1\n-kernel.a = 1\n"
    code, output, errors, found = sysctl({"00-a.conf": text})
    assert (code, errors, found["kernel/a"]) == (0, "", "1")
    assert output == "not in force: kernel.refused = 1 (Is a directory)\n"


@needs_root
def test_what_must_not_fail_fails_the_step_and_everything_else_is_set(sysctl):
    code, _, errors, found = sysctl({"00-a.conf": "kernel.missing = 1\nkernel.refused = 1\nkernel.b\nkernel.a = 1\n"})
    assert (code, found["kernel/a"], found["kernel/b"]) == (1, "1", "0")
    assert errors.splitlines() == [
        "00-a.conf:1: cannot set kernel.missing to '1': the kernel has no such key",
        "00-a.conf:2: cannot set kernel.refused to '1': Is a directory",
        "00-a.conf:3: expected key = value",
    ]
