"""The sandbox of containers, tried on a node: root without capabilities gets nowhere, and the node's own still work."""

from __future__ import annotations

import pytest

from tests.boot.machine import once, running

pytestmark = pytest.mark.boot

ATTEMPTS = {
    "core_pattern": "echo core > /proc/sys/kernel/core_pattern",
    "panic": "echo 0 > /proc/sys/vm/panic_on_oom",
    "forward": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "sysfs": "echo 1 > /sys/kernel/mm/transparent_hugepage/use_zero_page",
    "firmware": "ls /sys/firmware/dmi || ls /sys/firmware/acpi",
    "mount": "mount -t tmpfs none /mnt",
    "unshare": "unshare -r busybox true",
    "nsenter": "nsenter -t 1 -m busybox true",
    "chroot": "chroot / busybox true",
    "hostname": "hostname prisoner",
    "dmesg": "dmesg",
    "reboot": "reboot -f -n",
    "modprobe": "insmod /bin/busybox",
}
"""What root of a container tries; each is a shell's command."""
FREE = {"core_pattern", "panic", "sysfs", "sysrq"}
"""What of it takes no capability of its own: root without any does it where the spec takes the sandbox away."""
SHELL = {"image": "@pkg:images/sysctl", "readonly": False, "capabilities": ["none"], "pid": "new"}


APPLETS = ("cat", "chroot", "dmesg", "grep", "hostname", "insmod", "ls", "mount", "nsenter", "reboot", "unshare")
"""Busybox's, of which the image has no links."""


def trying(names):
    """Keys of a container that prints the names of what succeeds, then its capabilities, bit and filter."""
    lines = [f'{applet}() {{ busybox {applet} "$@"; }}' for applet in APPLETS]
    lines += [f"({ATTEMPTS[name]}) > /dev/null 2>&1 && echo {name}" for name in names]
    lines.append("cat /proc/sys/kernel/hostname")
    lines.append("grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/self/status")
    return {"command": ["/bin/sh", "-c", "\n".join(lines)], "env": ["PATH=/bin"]}


def with_prisoners(spec):
    """The default node, an onboot step that tries everything, and one with a sandbox that the spec takes away."""
    free = {"maskedPaths": [], "readonlyPaths": [], "noNewPrivileges": False, "seccomp": "unconfined"}
    spec["onboot"].insert(2, {"name": "free", **SHELL, **free, **trying(sorted(FREE))})
    spec["onboot"].append({"name": "prisoner", **SHELL, **trying(ATTEMPTS)})
    spec["build"] = {"formats": ["kernel+initrd"]}


LOOK = {
    "prisoner": "on-node cat /run/log/onboot/004-prisoner.out.log",
    "free": "on-node cat /run/log/onboot/002-free.out.log",
    "hostname": "hostname",
    "core": "cat /proc/sys/kernel/core_pattern",
    "processes": "on-node sh -c 'for p in /proc/[0-9]*; do echo $(cat $p/comm) $(grep -hE ^Seccomp: $p/status) "
    "$(grep -hE ^NoNewPrivs: $p/status); done'",
}


@pytest.fixture(scope="module")
def seen(derived, config_drive, key, tmp_path_factory):
    built = derived(with_prisoners, tmp_path_factory.mktemp("sandbox"))
    place = tmp_path_factory.mktemp("session")
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
        words += ["-drive", f"file={config_drive},format=raw,if=virtio,readonly=on"]
        with running(place, *words, network=",hostname=by-dhcp") as machine:
            machine.wait_for("nodekiln: services are up: rngd sshd")
            machine.wait_for_ssh()
            found = {name: machine.ssh(key, command) for name, command in LOOK.items()}
            machine.press_power_button()
            machine.wait_for_the_end()
            return found | {"console": machine.console}

    return once("sandbox", [kernel, initrd, cmdline, config_drive], session)


def test_root_without_capabilities_gets_nowhere(seen):
    assert seen["prisoner"].split() == ["kiln-1", "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert not seen["core"].startswith("|")


def test_a_spec_takes_the_sandbox_away(seen):
    lines = seen["free"].split()
    assert {*lines[: len(FREE)]} == FREE
    assert lines[len(FREE) :] == ["by-dhcp", "CapBnd:", "0" * 16, "NoNewPrivs:", "0", "Seccomp:", "0"]


def test_the_node_s_own_containers_have_what_they_need(seen):
    for step in ("000-sysctl", "001-dhcpcd", "002-free", "003-metadata", "004-prisoner"):
        assert f"[onboot] {step}: ok" in seen["console"]
    assert "not in force" not in seen["console"]
    assert seen["hostname"].strip() == "kiln-1"
    processes = [line.split() for line in seen["processes"].splitlines() if len(line.split()) == 5]
    sandboxes = {name: (calls, kept) for name, _, calls, _, kept in processes}
    assert sandboxes["rngd"] == ("2", "1")
    assert sandboxes["sshd"] == ("0", "0")
