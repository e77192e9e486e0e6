"""What `doit run` gives QEMU to boot. (tests/boot boots it.)"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import formats, qemu

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(tmp_path):
    """A function: `doit run:node` with these words, and with programs in QEMU's place that print their own words."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "node.yml").write_text("build: {arch: [amd64, arm64], formats: [tar, kernel+initrd]}\n")
    shutil.copy(ROOT / "dodo.py", tmp_path)
    for arch, emulator in qemu.EMULATORS.items():
        program = tmp_path / "bin" / emulator.program
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\ncase "$*" in *"-accel kvm"*) exit 1 ;; esac\necho RUN "$0" "$@"\n')
        program.chmod(0o755)
        results = tmp_path / "build" / "node" / arch
        results.mkdir(parents=True)
        for suffix in ("kernel", "initrd.img", "cmdline"):
            (results / f"node-{suffix}").write_text(f"for={arch}")

    def call(*words):
        command = [str(Path(sys.executable).with_name("doit")), "run:node", *words]
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return call


@pytest.mark.parametrize("arch", qemu.EMULATORS)
def test_each_architecture_has_its_machine(run, arch):
    done = run("--arch", arch, "--append=more=1", "--ssh", "2299")
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("RUN")]
    emulator = qemu.EMULATORS[arch]
    assert f"/{emulator.program} -machine {emulator.machine} -cpu {emulator.processor} -accel tcg" in said
    base = f"build/node/{arch}/node"
    assert f"-kernel {base}-kernel -initrd {base}-initrd.img -append for={arch} more=1" in said
    assert "hostfwd=tcp:127.0.0.1:2299-:22" in said


def test_what_cannot_be_booted_is_said(run):
    for words, message in (
        (["--format=tar"], "tar: cannot be booted here"),
        (["--arch=riscv64"], "specs/node.yml is built for amd64, arm64, not for riscv64"),
        (["--format=raw-bios"], "build/node/amd64/node-bios.img is not there: `doit build:node:raw-bios` first"),
    ):
        done = run(*words)
        assert done.returncode and message in done.stdout + done.stderr


def test_the_machines_boot_formats_that_there_are():
    for name, disk in qemu.DISKS.items():
        assert disk.suffix in formats.find(name).SUFFIXES
