"""A node whose /var is on a disk: made at the first boot, kept over a power cut, grown with the disk, required."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.boot.machine import once, running
from tests.judges import need, run

pytestmark = pytest.mark.boot

MIB = 1 << 20
START = 8 * MIB
"""Offset of the partition, in bytes."""
DATA = "on-node sh -c 'cat /var/lib/kubelet/kept; cat /etc/machine-id; ls -ld /var/run /var/tmp'"
PROGRAM = 'cd /var/lib/kubelet && echo kept > kept && printf "#!/bin/sh\\necho it runs\\n" > x && chmod 755 x'
WRITE = f"on-node sh -c '{PROGRAM} && sync && ./x'"


def with_a_disk(spec):
    """The default node with /var on the partition `data`, which is required, and a disk that is absent and is not."""
    steps = [("disk", ["--required", "data", "/var"]), ("other", ["nosuch", "/var/other"])]
    spec["onboot"][1:1] = [
        {"name": name, "image": "@pkg:images/disk", "command": ["/usr/bin/disk", *words]} for name, words in steps
    ]
    spec["files"] = [
        {"path": "etc/mounts.d/pods.conf", "contents": "/var/lib/kubelet exec,suid,dev\n", "mode": "0644"},
        {"path": "etc/machine-id", "symlink": "/run/machine-id"},
    ]
    spec["build"] = {"formats": ["kernel+initrd"]}


def partitioned(path: Path) -> None:
    """A disk of 64 MiB with an empty partition."""
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    layout = f"start={START // MIB}MiB, size=48MiB, name=data\n"
    subprocess.run([need("sfdisk", "fdisk"), "-q", "-X", "gpt", path], input=layout, text=True, check=True)


@pytest.fixture(scope="module")
def seen(derived, config_drive, key, tmp_path_factory):
    """The first boot, which ends with a power cut; the second on a larger disk; and one without a disk."""
    built, place = derived(with_a_disk, tmp_path_factory.mktemp("built")), tmp_path_factory.mktemp("session")
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        disk = place / "disk.img"
        partitioned(disk)
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
        words += ["-drive", f"file={config_drive},format=raw,if=virtio,readonly=on"]
        drive = ["-drive", f"file={disk},format=raw,if=virtio"]
        with running(place, *words, *drive) as machine:
            machine.wait_for("nodekiln: services are up")
            machine.wait_for_ssh()
            found = {"write": machine.ssh(key, WRITE), "before": machine.ssh(key, DATA), "first": machine.console}
        with disk.open("r+b") as file:
            file.truncate(256 * MIB)
        with running(place, *words, *drive) as machine:
            machine.wait_for("nodekiln: services are up")
            machine.wait_for_ssh()
            found |= {"after": machine.ssh(key, DATA), "mounts": machine.ssh(key, "on-node cat /proc/self/mountinfo")}
            machine.press_power_button()
            machine.wait_for_the_end()
            found["second"] = machine.console
        with running(place, *words) as machine:
            machine.wait_for("reboot: System halted")
            found["absent"] = machine.console
        return found | judged(disk)

    return once("disk", [kernel, initrd, cmdline, config_drive], session)


def judged(disk: Path) -> dict[str, str]:
    """What others say of the disk when all is over."""
    volume = disk.with_name("volume.img")
    with disk.open("rb") as file:
        file.seek(START)
        volume.write_bytes(file.read())
    state = run(need("dumpe2fs", "e2fsprogs"), "-h", volume).stdout
    run(need("e2fsck", "e2fsprogs"), "-fn", volume)
    return {"table": run(need("sgdisk", "gdisk"), "-v", disk).stdout, "state": state}


def test_an_empty_partition_becomes_var_at_the_first_boot(seen):
    assert re.search(
        r"\[onboot\] 001-disk\| data: /dev/vd[ab]1 is mounted on /var, \d+ MiB \(.*file system made", seen["first"]
    )
    assert seen["write"] == "it runs\n"


def test_an_absent_disk_is_one_line_and_where_it_is_required_the_boot_stops(seen):
    line = "nosuch: no file system and no partition is called so; /var/other stays in memory"
    assert f"[onboot] 002-other| {line}" in seen["first"]
    assert "[onboot] 001-disk| data: no file system and no partition is called so\n" in seen["absent"].replace("\r", "")
    assert "nodekiln: boot stopped at 001-disk" in seen["absent"]


def test_a_power_cut_loses_nothing_that_was_written_and_the_disk_grows(seen):
    assert seen["after"] == seen["before"]
    assert re.match(r"kept\n[0-9a-f]{32}\n.* /var/run -> /run\ndrwxrwxrwt .* /var/tmp\n", seen["after"])
    line = r"data: /dev/vd[ab]1 is mounted on /var, 247 MiB \(partition grown, .*file system grown\)"
    assert re.search(line, seen["second"])


def test_the_mount_has_the_options_of_var_and_is_shared(seen):
    mounts = {line.split()[4]: line.split() for line in seen["mounts"].splitlines()}
    assert "ext4" in mounts["/var"]
    assert {"nosuid", "nodev", "noexec"} <= {*mounts["/var"][5].split(",")}
    assert "noexec" not in mounts["/var/lib/kubelet"][5]
    assert all(any(word.startswith("shared:") for word in mounts[place]) for place in ("/var", "/var/lib/kubelet"))


def test_the_shutdown_unmounts_it(seen):
    assert "No problems found" in seen["table"]
    assert re.search(r"Filesystem state: +clean", seen["state"])
    assert "needs_recovery" not in seen["state"]
