"""README's way in: `doit run` hands over the user's key, and README's own line logs in with it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import patience
from tests.boot.machine import BOOT_SECONDS, free_port, once, running, started
from tests.judges import need, run
from tests.project import ROOT

pytestmark = pytest.mark.boot

LINE = re.compile(r"`(ssh [^`]*root@127\.0\.0\.1[^`]*)`")
"""README's command, which names the port 2222."""


KERNELS = {"trixie": "6.12.", "bookworm": "6.1."}
"""Release -> start of the version of its kernel."""


def with_a_key(public, release):
    """A change of the node's spec: packages of `release`, and another key may log in, whoever starts it."""

    def change(spec):
        spec["build"]["release"] = release
        spec["files"] = [{"path": "etc/ssh/authorized_keys", "contents": f"{public}\n"}]

    return change


@pytest.mark.parametrize("release", KERNELS)
def test_readme_s_line_logs_in_with_the_key_that_run_hands_over_and_the_spec_s(
    other_node, key, spec_key, tmp_path, release
):
    (line,) = set(LINE.findall((ROOT / "README.md").read_text()))
    built = other_node(with_a_key(spec_key.with_suffix(".pub").read_text().strip(), release))
    port = free_port()

    def log_in(identity, command):
        """Runs README's line as it stands, but for the port, the key and the files of the one who tests."""
        own = ["-F", "none", "-o", f"UserKnownHostsFile={tmp_path / 'known'}", "-o", "BatchMode=yes"]
        words = [*shlex.split(line.replace("2222", str(port))), command]
        words[1:1] = [*own, "-o", "IdentitiesOnly=yes", "-i", str(identity)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=patience.seconds(BOOT_SECONDS))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def session():
        doit = [str(Path(sys.executable).with_name("doit")), "run:other", "--key", str(key), "--ssh", str(port)]
        environment = [f"PYTHONPATH={ROOT}", f"NODEKILN_CACHE={ROOT / 'cache'}"]
        command = ["setsid", "env", "-C", str(tmp_path), *environment, *doit, "--accel", "tcg"]
        with started(command, port) as machine:
            try:
                machine.wait_for("services are up")
                machine.wait_for_ssh()
                seen = {"by run": log_in(key, "id -un"), "kernel": log_in(key, "uname -r")}
                seen["by the spec"] = log_in(spec_key, "cat /etc/ssh.node/authorized_keys")
                seen["metadata"] = log_in(key, "cd /run/config; cat ssh/authorized_keys provider")
                log_in(key, "poweroff")
                machine.wait_for_the_end()
                return seen | {"console": machine.console}
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(machine.process.pid, signal.SIGKILL)  # QEMU, too

    seen = once(f"login {release}", [built / "other.qcow2", ROOT / "README.md"], session)
    public = key.with_suffix(".pub")
    assert seen["by run"] == "root\n" and seen["kernel"].startswith(KERNELS[release])
    assert seen["by the spec"] == spec_key.with_suffix(".pub").read_text()
    assert seen["metadata"] == f"{public.read_text()}cdrom\n"
    assert f"NoHostAuthenticationForLocalhost=yes logs in with {public} once sshd is up" in seen["console"]


def metadata_alone(spec):
    """A change of the node's spec: a network, and the step that reads metadata, which is to find some."""
    command = ["/usr/bin/metadata", "--required"]
    step = {"name": "metadata", "image": "@pkg:images/metadata", "command": command}
    spec["onboot"] = [spec["onboot"][1], step]
    spec["services"] = []
    spec["build"] = {"formats": ["kernel+initrd"]}


@pytest.fixture(scope="module")
def stages(derived, tmp_path_factory):
    return derived(metadata_alone, tmp_path_factory.mktemp("metadata"))


USER = {"ssh": {"entries": {"authorized_keys": {"content": "command=x ssh-rsa AAAA"}}}}
DRIVES = {
    "user data alone": (
        "config-2", {"openstack/latest/user_data": "#!/bin/sh\n"},
        r"openstack: from /dev/\w+; host name -, 0 keys, 10 bytes of user data", "ok"),
    "NoCloud": (
        "CIDATA",
        {"meta-data": "local-hostname: box # mine\npublic-keys: [ssh-rsa AAAA]", "network-config": "version: 2"},
        r"cdrom: from /dev/\w+; host name box, 1 keys, 0 bytes of user data; left out: network-config", "ok"),
    "broken JSON": (
        "config-2", {"openstack/latest/meta_data.json": "{broken"},
        r"openstack: /dev/\w+: meta_data.json: JSON: expected a key at line 1", "failed"),
    "nothing": ("cidata", {"x": ""}, r"cdrom: /dev/\w+: neither meta-data nor user-data is there", "failed"),
    "keys with commands": (
        "config-2", {"openstack/latest/user_data": json.dumps(USER)},
        r"user data: ssh/authorized_keys: 1 lines are not public keys", "failed"),
    "no drive": ("", {}, r"no metadata from .*by HTTP: not asked, for this machine does not say", "failed"),
}  # fmt: skip
"""What a drive is labelled and holds; what the console says of it; and what becomes of the step."""


@pytest.mark.parametrize("name", DRIVES)
def test_what_a_drive_says_is_taken_or_stops_the_boot(stages, answer, name, tmp_path):
    """While somebody answers at the address of OpenStack's service, on a machine that is not OpenStack's."""
    label, files, says, result = DRIVES[name]
    kernel, initrd, cmdline = (stages / f"other-{each}" for each in ("kernel", "initrd.img", "cmdline"))
    words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
    drive = tmp_path / "drive.img"
    if label:
        fat_volume(drive, label, files)
        words += ["-drive", f"file={drive},format=raw,if=virtio,readonly=on"]

    def session():
        with running(tmp_path, *words, network=answer) as machine:
            machine.wait_for("nodekiln: ")
            return {"console": machine.console}

    seen = once(f"drive {name}", [kernel, initrd, cmdline, *([drive] if label else [])], session)["console"]
    assert re.search(r"\[onboot\] 001-metadata: (ok|failed)", seen)[1] == result
    assert re.search(says, seen, re.DOTALL), seen[-3000:]
    assert "kiln-http" not in seen


def fat_volume(path, label, files):
    """Writes a FAT volume with other tools, always the same."""
    with path.open("wb") as file:
        file.truncate(4 << 20)
    run(need("mkfs.vfat", "dosfstools"), "--invariant", "-n", label, path)
    for name, text in files.items():
        source = path.with_name("source")
        source.write_text(text)
        os.utime(source, (1_600_000_000,) * 2)
        for above in [*Path(name).parents][-2::-1]:
            run(need("mmd", "mtools"), "-i", path, f"::{above}")
        run(need("mcopy", "mtools"), "-m", "-i", path, source, f"::{name}")
