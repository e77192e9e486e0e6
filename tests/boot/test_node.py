"""The node of specs/node.yml, booted: what its founding text promises."""

from __future__ import annotations

import re

import pytest

from tests.boot.machine import once, running

pytestmark = pytest.mark.boot

UP = "nodekiln: services are up"


def onboot_results(console: str) -> list[tuple[str, str]]:
    """[(step, result)] in the order of the console: ("000-sysctl", "ok")."""
    return re.findall(r"\[onboot\] (\d{3}-\w+): (ok|failed)", console)


def test_the_disk_boots_and_an_ssh_client_logs_in_with_a_key_from_the_config_drive(node, config_drive, key, tmp_path):
    disk = node / "node.qcow2"

    def session():
        drives = [f"file={disk},format=qcow2,if=virtio,snapshot=on"]
        drives += [f"file={config_drive},format=raw,if=virtio,readonly=on"]
        with running(tmp_path, "-drive", drives[0], "-drive", drives[1]) as machine:
            machine.wait_for(UP)
            machine.wait_for_ssh()
            seen = {
                "hostname": machine.ssh(key, "hostname"),
                "userdata": machine.ssh(key, "cat /run/config/userdata"),
                "tasks": machine.ssh(key, "ctr -n services.linuxkit tasks ls"),
                "mounts": machine.ssh(key, "on-node cat /proc/mounts"),
            }
            machine.press_power_button()
            machine.wait_for_the_end()
            return seen | {"console": machine.console}

    seen = once("disk", [disk, config_drive], session)
    assert onboot_results(seen["console"]) == [("000-sysctl", "ok"), ("001-dhcpcd", "ok"), ("002-metadata", "ok")]
    assert re.search(r"services are up: rngd sshd", seen["console"])
    assert seen["hostname"].strip() == "kiln-1"
    assert seen["userdata"] == "hello from the drive\n"
    assert re.search(r"^rngd\s+\d+\s+RUNNING", seen["tasks"], re.MULTILINE)
    assert re.search(r"^sshd\s+\d+\s+RUNNING", seen["tasks"], re.MULTILINE)
    assert "reboot: Power down" in seen["console"]


def test_kernel_and_initrd_boot_with_metadata_from_the_http_service(node, key, answer, tmp_path):
    """On a machine whose firmware says that it is OpenStack's; no other is asked (see test_login)."""
    kernel, initrd, cmdline = (node / f"node-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
        words += ["-smbios", "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova"]
        with running(tmp_path, *words, network=answer) as machine:
            machine.wait_for(UP)
            machine.wait_for_ssh()
            seen = {"hostname": machine.ssh(key, "hostname")}
            machine.ssh(key, "poweroff")
            machine.wait_for_the_end()
            return seen | {"console": machine.console}

    seen = once("http", [kernel, initrd, cmdline], session)
    assert onboot_results(seen["console"]) == [("000-sysctl", "ok"), ("001-dhcpcd", "ok"), ("002-metadata", "ok")]
    assert seen["hostname"].strip() == "kiln-http"
    assert "reboot: Power down" in seen["console"]


def second_onboot_fails(spec):
    failing = {"name": "broken", "image": "@pkg:images/sysctl", "command": ["/bin/sh", "-c", "echo because; exit 7"]}
    spec["onboot"] = [spec["onboot"][0], failing, spec["onboot"][1]]
    spec["build"] = {"formats": ["kernel+initrd"]}


FAILURES = {
    "halt": ("", "reboot: System halted"),
    "reboot": ("nodekiln.onboot_failure=reboot", "reboot: Restarting system"),
    "shell": ("nodekiln.debug", "/ #"),
}


@pytest.mark.parametrize("choice", FAILURES)
def test_a_failing_onboot_stops_the_boot(other_node, tmp_path, choice):
    append, end = FAILURES[choice]
    built = other_node(second_onboot_fails)
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", f"{cmdline.read_text()} {append}".strip()]
        with running(tmp_path, *words) as machine:
            machine.wait_for(end)
            return {"console": machine.console}

    console = once(f"failing {append}", [kernel, initrd, cmdline], session)["console"]
    assert onboot_results(console) == [("000-sysctl", "ok"), ("001-broken", "failed")]
    assert re.search(r"001-broken: failed.*7", console)
    assert "because" in console
    assert UP not in console


def every_section(spec):
    """A node that uses what the default one does not: volumes, onshutdown, files, and a service that keeps failing."""
    shell = {"image": "@pkg:images/sysctl", "readonly": False}
    say = "echo volume: $(cat /data/word) $(touch /fixed/x && echo writable || echo read-only)"
    spec["volumes"] = [{"name": "data"}, {"name": "fixed", "image": "@pkg:images/sysctl", "readonly": True}]
    spec["onboot"] = [
        {"name": "write", **shell, "command": ["/bin/sh", "-c", "echo kept > /data/word"], "binds": ["data:/data"]},
        {"name": "read", **shell, "command": ["/bin/sh", "-c", say], "binds": ["data:/data:ro", "fixed:/fixed:ro"]},
    ]
    flaky = {"nodekiln.restart": "on-failure", "nodekiln.restart.max": "2", "nodekiln.restart.backoff": "1"}
    spec["services"] = [
        {"name": "flaky", **shell, "command": ["/bin/sh", "-c", "exit 3"], "annotations": flaky},
        {"name": "steady", **shell, "command": ["/bin/busybox", "sleep", "1000000"]},
    ]
    spec["onshutdown"] = [{"name": "last", **shell, "command": ["/bin/sh", "-c", "echo goodbye"]}]
    spec["files"] = [{"path": "etc/motd", "contents": "made by a file\n", "mode": "0644"}]
    spec["build"] = {"formats": ["kernel+initrd"]}


def test_every_section_does_its_part(other_node, tmp_path):
    built = other_node(every_section)
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
        with running(tmp_path, *words) as machine:
            machine.wait_for("nodekiln: services")
            machine.wait_for("not started again")
            machine.press_power_button()
            machine.wait_for_the_end()
            return {"console": machine.console}

    console = once("sections", [kernel, initrd, cmdline], session)["console"]
    assert onboot_results(console) == [("000-write", "ok"), ("001-read", "ok")]
    assert "volume: kept read-only" in console
    assert console.count("flaky: exited with code 3") == 3
    assert "steady: started" in console
    assert "goodbye" in console
    assert re.search(r"\[onshutdown\] 000-last: ok", console)
    assert "reboot: Power down" in console
