"""Services that want the whole node: they meet their own limits, and if they have none, the node outlives them."""

from __future__ import annotations

import re

import pytest

from tests.boot.conftest import config_drive, derived, key  # noqa: F401
from tests.boot.machine import once, running

pytestmark = pytest.mark.boot

SHELL = {"image": "@pkg:images/sysctl", "readonly": False}
GROW = "x=aaaaaaaa; while :; do x=$x$x; done"
FORK = "bomb() { bomb | bomb & }; bomb; exec busybox sleep 1000000"


def attacked(spec):
    """The default node with attackers that start by hand, and services with and without limits of their own."""

    def shell(name, command, annotations=None, **more):
        return {"name": name, **SHELL, "command": ["/bin/sh", "-c", command], "annotations": annotations or {}, **more}

    by_hand = {"nodekiln.start": "manual", "nodekiln.restart": "no"}
    limits = {"pids": {"limit": 7}, "memory": {"limit": 32 << 20}}
    spec["services"] += [
        shell("hog", GROW, by_hand),
        shell("glutton", GROW, by_hand | {"nodekiln.memory.max": "max"}),
        shell("bomb", FORK, by_hand | {"nodekiln.pids.max": "40", "nodekiln.memory.max": "10%"}),
        shell("own", "busybox sleep 1000000", resources=limits, oomScoreAdj=300),
    ]
    spec["build"] = {"formats": ["kernel+initrd"]}


GROUPS = "on-node sh -c 'cd /sys/fs/cgroup/system; grep . /run/nodekiln/memory */pids.max */memory.max'"
SCORES = (
    "on-node sh -c 'for p in /proc/[0-9]*; do [ -e $p/exe ] && "
    'echo "$(cat $p/oom_score_adj) ${p#/proc/} $(tr "\\0" " " < $p/cmdline)"; done; true\''
)
KILLED = "on-node sh -c \"dmesg | grep -E '(Out of memory|out of memory): Killed process'\""


@pytest.fixture(scope="module")
def seen(derived, config_drive, key, tmp_path_factory):  # noqa: F811
    built = derived(attacked, tmp_path_factory.mktemp("attacked"))
    place = tmp_path_factory.mktemp("session")
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
        with running(place, *words, "-drive", f"file={config_drive},format=raw,if=virtio,readonly=on") as machine:
            machine.wait_for("nodekiln: services are up")
            machine.wait_for_ssh()
            found = {"groups": machine.ssh(key, GROUPS), "scores": machine.ssh(key, SCORES)}
            machine.ssh(key, "service start hog")
            machine.wait_for("hog: exited with code")
            machine.ssh(key, "service start glutton")
            machine.wait_for("glutton: exited with code")
            found["killed"] = machine.ssh(key, KILLED)
            machine.ssh(key, "service start bomb")
            machine.wait_for("bomb: started")
            hit = 'until grep -q "max [1-9]" pids.events; do sleep 1; done; cat pids.max'
            found["bomb"] = machine.ssh(key, f"on-node sh -c 'cd /sys/fs/cgroup/system/bomb && {hit}'")
            machine.ssh(key, "service stop bomb")
            found["after"] = machine.ssh(key, "service list; " + SCORES)
            machine.press_power_button()
            machine.wait_for_the_end()
            return found | {"console": machine.console}

    return once("attacked", [kernel, initrd, cmdline, config_drive], session)


def test_services_have_limits_of_processes_and_memory_that_the_spec_changes(seen):
    found = dict(line.split(":") for line in seen["groups"].splitlines())
    available = int(found["/run/nodekiln/memory"])
    page = 4096
    assert {name: found[f"{name}/pids.max"] for name in ("rngd", "sshd", "own")} == {
        "rngd": "4096", "sshd": "4096", "own": "7",
    }  # fmt: skip
    assert int(found["own/memory.max"]) == 32 << 20
    assert 0 <= available - available // 5 - int(found["sshd/memory.max"]) < page


def scores(text):
    """[(score, process id and command line)] of the node's processes."""
    return [(int(score), words) for score, words in re.findall(r"^(-?\d+) (\d+ \S.*)$", text, re.MULTILINE)]


def test_containerd_and_the_supervisor_are_protected_and_what_they_start_is_not(seen):
    found = scores(seen["scores"])

    def of(*parts):
        return {score for score, words in found if all(part in words for part in parts)}

    assert of("containerd --config") == of("service supervise") == {-999}
    assert of("containerd-shim") == {-998}
    assert of("rngd -v") == {-800}
    assert of("sleep 1000000") == {300}
    assert of("acpid -l") == {0}


def test_a_service_that_takes_all_memory_dies_alone(seen):
    assert "hog: exited with code 137" in seen["console"]
    assert "glutton: exited with code 137" in seen["console"]
    kinds = re.findall(r"(Memory cgroup out|Out) of memory: Killed process \d+ \((\w+)\)", seen["killed"])
    assert kinds == [("Memory cgroup out", "sh"), ("Out", "sh")]


def test_a_fork_bomb_meets_its_limit(seen):
    assert seen["bomb"] == "40\n"
    assert "bomb: stopped" in seen["console"]


def test_the_node_lives_on(seen):
    def kept(text):
        return {words for score, words in scores(text) if score in (-999, -998) and "logger" not in words}

    assert kept(seen["scores"]) <= kept(seen["after"])
    assert re.search(r"^sshd +running .* 0 ", seen["after"], re.MULTILINE)
    assert "reboot: Power down" in seen["console"]
