"""The TPM of a machine: there with Secure Boot, where swtpm is installed, and gone with the machine."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from pipeline.run import qemu, tpm
from tests.judges import need
from tests.judges import run as judged
from tests.project import ROOT, declare
from tests.writers.signing import make_key

PROGRAM = """#!/bin/sh
case "$*" in *"-accel kvm"*) exit 1 ;; esac
echo RUN "$@"
{then}
"""
"""A program in QEMU's place, which prints its words."""
SPEC = "build: {arch: amd64, formats: [raw-efi], sign: {certificate: db.pem}}\n"


@pytest.fixture
def start(tmp_path):
    """A function: starts `doit run:node` with these words. Its machine ends at once, unless `then` says otherwise."""
    need("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "ovmf")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "node.yml").write_text(SPEC)
    (tmp_path / "build" / "node").mkdir(parents=True)
    (tmp_path / "build" / "node" / "node-efi.img").write_bytes(bytes(1 << 20))
    make_key(tmp_path, "db")
    declare(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "cat"):
        (programs / name).symlink_to(need(name))

    def call(*words, then="", programs_of_the_host=True):
        emulator = programs / qemu.EMULATORS["amd64"].program
        emulator.write_text(PROGRAM.format(then=then))
        emulator.chmod(0o755)
        command = [str(Path(sys.executable).with_name("doit")), "run:node", *words]
        path = f"{programs}:{os.environ['PATH']}" if programs_of_the_host else str(programs)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "TMPDIR": str(tmp_path)}
        heeding = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # tests may run where ^C is ignored
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, text=True, preexec_fn=heeding, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return call


def ended(process, folder):
    """Returns whether nothing is left of a session: no process, no TPM, and no file."""
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    running = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return not list(folder.glob("nodekiln-*")) and not any(bytes(folder) in words for words in running)


def test_secure_boot_comes_with_a_tpm_that_ends_with_the_machine(start, tmp_path):
    need(tpm.PROGRAM)
    process = start("--secure-boot")
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "TPM 2.0: swtpm, whose state is dropped when the machine ends" in out
    assert "-tpmdev emulator,id=tpm,chardev=tpm -device tpm-tis,tpmdev=tpm" in out
    assert ended(process, tmp_path)


def test_without_swtpm_there_is_none_and_a_line_says_so(start):
    process = start("--secure-boot", programs_of_the_host=False)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "no TPM: swtpm is not installed (Debian: apt-get install swtpm)" in out and "tpm-tis" not in out


def test_without_secure_boot_there_is_none(start):
    out, _ = start().communicate()
    assert "RUN" in out and "TPM" not in out and "tpm-tis" not in out


def test_an_interrupted_machine_leaves_no_process(start, tmp_path):
    need(tpm.PROGRAM)
    process = start("--secure-boot", then="exec cat")
    while not process.stdout.readline().startswith("RUN"):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate()
    assert process.returncode == 128 + signal.SIGINT and ended(process, tmp_path)


@pytest.mark.parametrize("arch", tpm.DEVICES)
def test_qemu_has_the_device(arch):
    emulator = qemu.EMULATORS[arch]
    program = need(emulator.program, emulator.packages.split()[0])
    assert f'name "{tpm.DEVICES[arch]}"' in judged(program, "-machine", emulator.machine, "-device", "help").stdout


def test_qemu_takes_it_for_a_tpm_2():
    need(tpm.PROGRAM)
    emulator = qemu.EMULATORS["amd64"]
    machine = [need(emulator.program), "-machine", "q35", "-display", "none", "-nodefaults", "-monitor", "stdio"]
    with tpm.running("amd64") as chip:
        done = judged(*machine, "-S", *chip.words, input="info tpm\nquit\n", pass_fds=chip.inherited)
    assert "model=tpm-tis" in done.stdout
