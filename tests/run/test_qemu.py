"""What `doit run` gives QEMU to boot. (tests/boot boots it.)"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import formats
from pipeline.model.errors import BadInput
from pipeline.run import qemu
from tests.attacks.test_metadata import read
from tests.judges import need
from tests.judges import run as judged
from tests.project import ROOT, declare

PROGRAM = """#!/bin/sh
case "$*" in *"-accel kvm"*) exit 1 ;; esac
echo RUN "$0" "$@"
for word; do case $word in id=cidata,*) cp "$(expr "$word" : '.*file=\\(.*\\),readonly')" {volume} ;; esac; done
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG ü@here"
SPEC = """\
onboot: [{name: m, image: '@pkg:images/metadata'}]
build: {arch: [amd64, arm64], formats: [tar, kernel+initrd]}
"""


@pytest.fixture
def run(tmp_path):
    """A function: `doit run:node` with these words, and with programs in QEMU's place that print their own words."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "node.yml").write_text(SPEC)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    declare(tmp_path)
    for arch, emulator in qemu.EMULATORS.items():
        program = tmp_path / "bin" / emulator.program
        program.parent.mkdir(exist_ok=True)
        program.write_text(PROGRAM.format(volume=tmp_path / "volume.iso"))
        program.chmod(0o755)
        results = tmp_path / "build" / "node" / arch
        results.mkdir(parents=True)
        for suffix in ("kernel", "initrd.img", "cmdline"):
            (results / f"node-{suffix}").write_text(f"for={arch}")

    def call(*words):
        command = [str(Path(sys.executable).with_name("doit")), "run:node", *words]
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        own = {"PYTHONPATH": str(ROOT), "PATH": path, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
        environment = {**os.environ, **own}
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


def volume(tmp_path):
    """Returns the files of the volume that the machine got, read by another tool."""
    folder = tmp_path / "volume"
    image = tmp_path / "volume.iso"
    judged(need("xorriso"), "-osirrox", "on", "-indev", image, "-extract", "/", folder)
    assert "Volume id    : 'cidata'" in judged(need("xorriso"), "-indev", image).stderr
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["id_rsa.pub", "id_ed25519.pub"])
def test_the_user_s_own_key_goes_into_the_machine(run, tmp_path, name):
    (tmp_path / "home" / ".ssh" / "id_rsa.pub").write_text("ssh-rsa BBBB\n")
    (tmp_path / "home" / ".ssh" / name).write_text(f"# mine\n{KEY}\n")
    done = run()
    assert done.returncode == 0, done.stderr
    own = tmp_path / "home" / ".ssh" / name
    said = f"ssh -p 2222 root@127.0.0.1 -o NoHostAuthenticationForLocalhost=yes logs in with {own} once sshd is up"
    assert said in done.stdout
    found = volume(tmp_path)
    assert sorted(found) == ["meta-data", "user-data"] and found["user-data"] == ""
    assert read("cidata", found["meta-data"])["keys"] == [KEY]
    assert not list(tmp_path.glob("nodekiln-run-*"))


@pytest.mark.parametrize("given", ["mine", "mine.pub"])
def test_another_key_goes_into_the_machine_and_its_private_half_does_not(run, tmp_path, given):
    (tmp_path / "mine").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    (tmp_path / "mine.pub").write_text(f"{KEY}\n")
    done = run("--key", str(tmp_path / given), "--drive", "other.iso")
    assert done.returncode == 0, done.stderr
    assert f"ssh -i {tmp_path}/mine -p 2222 root@127.0.0.1 -o NoHost" in done.stdout
    assert read("cidata", volume(tmp_path)["meta-data"])["keys"] == [KEY]
    assert b"c2VjcmV0" not in (tmp_path / "volume.iso").read_bytes()
    said = done.stdout.splitlines()[-1]
    assert said.index("file=other.iso,readonly=on") < said.index("id=cidata,if=none,format=raw,file=")


def test_without_a_key_the_machine_starts_and_says_so(run, tmp_path):
    assert "no key is handed over: --key FILE does" in run().stdout
    (tmp_path / "home" / ".ssh" / "id_rsa.pub").write_text(KEY)
    assert "no key is handed over" in run("--drive", "other.iso").stdout
    assert not (tmp_path / "volume.iso").exists()


def test_a_spec_whose_node_reads_no_key_is_named(run, tmp_path):
    (tmp_path / "home" / ".ssh" / "id_rsa.pub").write_text(KEY)
    assert "no onboot step" not in run().stderr
    for metadata in ("", ", command: [/usr/bin/metadata, openstack]"):
        image = "metadata" if metadata else "sysctl"
        spec = SPEC.replace("images/metadata'", f"images/{image}'{metadata}")
        (tmp_path / "specs" / "node.yml").write_text(spec)
        assert "specs/node.yml: no onboot step reads the key" in run().stderr


@pytest.mark.parametrize(("text", "why"), [
    (f'command="x" {KEY}\n', "key:1: not a public key"), ("\nssh-rsa AAAA\x1b[2J\n", "key:2: not a public key"),
    ("# nothing\n", "no public key is in it"), ("--BEGIN RSA PRIVATE KEY--\n", "is a private key, which stays here"),
    ("x" * 70_000, "larger than 65536 bytes"), (None, "there is no such file"),
])  # fmt: skip
def test_a_file_without_public_keys_is_refused(run, tmp_path, text, why):
    if text is not None:
        (tmp_path / "key").write_text(text)
    done = run("--key", str(tmp_path / "key"))
    assert done.returncode == 3 and why in done.stderr and "Traceback" not in done.stderr
    assert "RUN" not in done.stdout


GIVES_UP = """#!{python}
# QEMU whose KVM passes for working, and then stands still with an internal error; it emulates well.
import json, os, sys
words = sys.argv[1:]
print("RUN", *words, flush=True)
if "kvm" in words and "-nodefaults" not in words:
    (descriptor,) = [int(word.partition("fd=")[2]) for word in words if "fd=" in word and word.startswith("socket")]
    with os.fdopen(descriptor, "r+b", buffering=0) as machine:
        for said in ({{"QMP": {{}}}}, {{"return": {{}}}}):
            machine.write(json.dumps(said).encode() + b"\\n")
            if "QMP" in said:
                assert json.loads(machine.readline()) == {{"execute": "qmp_capabilities"}}
        machine.write(b'{{"event": "STOP"}}\\n')
        assert json.loads(machine.readline()) == {{"execute": "query-status"}}
        machine.write(b'{{"return": {{"status": "internal-error"}}}}\\n')
        machine.read()  # until it is ended
"""


@pytest.mark.parametrize("asked", [[], ["--accel", "kvm"]])
def test_a_machine_whose_kvm_gives_up_is_emulated_unless_kvm_was_asked_for(run, tmp_path, asked):
    (tmp_path / "bin" / "qemu-system-x86_64").write_text(GIVES_UP.format(python=sys.executable))
    done = run(*asked)
    started = [line for line in done.stdout.splitlines() if line.startswith("RUN") and "-nodefaults" not in line]
    if asked:
        assert len(started) == 1 and done.returncode != 0 and "--accel tcg emulates the processor" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert ["-accel kvm" in line for line in started] == [True, False] and "-accel tcg" in started[1]
        assert "this machine's KVM cannot run the node" in done.stdout


def test_what_cannot_be_booted_is_said(run):
    for words, message in (
        (["--format=tar"], "tar: cannot be booted here"),
        (["--arch=riscv64"], "specs/node.yml is built for amd64, arm64, not for riscv64"),
        (["--secure-boot"], "tar, kernel+initrd: cannot be booted with Secure Boot; try --format="),
        (["--format=raw-bios"], "build/node/amd64/node-bios.img is not there: `doit build:node:raw-bios` first"),
    ):
        done = run(*words)
        assert done.returncode and message in done.stdout + done.stderr


@pytest.mark.parametrize("name", formats.names())
def test_a_format_is_booted_from_a_file_that_it_gives_or_refused(tmp_path, name):
    output = formats.find(name)
    (tmp_path / "a-cmdline").write_text("quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qemu, "efi", lambda arch, enrolled: ["UEFI"])
        if not qemu.bootable(output):
            with pytest.raises(BadInput, match="a machine boots"):
                qemu.start(output, tmp_path / "a", "amd64")
            return
        words = qemu.start(output, tmp_path / "a", "amd64")
    assert ("UEFI" in words) is (output.firmware is formats.Firmware.UEFI)
    assert all(any(str(file) in word for word in words) for file in qemu.files(output, tmp_path / "a")[:2])
