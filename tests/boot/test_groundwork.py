"""What a node for pods stands on: modules before sysctl, places to run from, cgroups, an identity, services that wait,
and pods that end before containerd does."""

from __future__ import annotations

import re

import pytest

from tests.boot.machine import once, running

pytestmark = pytest.mark.boot

UUID = "11111111-2222-3333-4444-555555555555"
MACHINE_ID = "a52a6f828c4d948ec5f6e3c15adbdfe4"
"""The first 32 digits of the SHA-256 of "nodekiln machine-id " and the UUID."""
SHELL = {"image": "@pkg:images/sysctl", "readonly": False, "command": ["/bin/busybox", "sleep", "1000000"]}
FILES = {
    "etc/modules-load.d/pods.conf": "# a word\nbr_netfilter\nno-such-module\n",
    "etc/sysctl.d/50-pods.conf": "net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n",
    "etc/pods/willing": "trap 'exit 0' TERM; while true; do busybox sleep 0.1; done\n",
    "etc/pods/stubborn": "trap : TERM; while true; do busybox sleep 0.1; done\n",
    "etc/mounts.d/pods.conf": "# a word\n\n/var/lib/kubelet exec,suid,dev\n/var/lib/other no-such-option\n",
}


def groundwork(spec):
    """The default node, with what pods need, and a service that waits for what does not come."""
    waits = {"nodekiln.after": "network,time,hostname", "nodekiln.after.timeout": "7", "nodekiln.settle": "1"}
    spec["services"] += [
        {"name": "waits", **SHELL, "annotations": waits},
        {"name": "begins", **SHELL, "annotations": {"nodekiln.after": "network,hostname"}},
        {"name": "kubelet", **SHELL, "cgroupsPath": "/podruntime/kubelet"},
    ]
    spec["files"] = [{"path": path, "contents": text, "mode": "0644"} for path, text in FILES.items()]
    spec["files"] += [{"path": "etc/machine-id", "symlink": "/run/machine-id"}]
    spec["kernel"]["cmdline"] += ["nodekiln.pods.grace=3"]
    spec["build"] = {"formats": ["kernel+initrd"]}


TRY = 'echo "#!/bin/sh\necho it runs" > {0}/x; chmod 755 {0}/x; {0}/x 2>&1'
POD = (
    "ctr -n k8s.io run -d --label io.cri-containerd.kind={} --rootfs --mount type=bind,src=/etc/pods,dst=/mnt,"
    "options=bind:ro /containers/services/begins/rootfs {} /bin/sh /mnt/{}"
)
"""A container as CRI has them: its kind, its name, and its program."""
LOOK = {
    "mounts": "on-node cat /proc/self/mountinfo",
    "kubelet": f"on-node sh -c '{TRY.format('/var/lib/kubelet')}'",
    "log": f"on-node sh -c '{TRY.format('/var/log')}; true'",
    "cgroups": "on-node sh -c 'for p in /proc/[0-9]*; do echo $(cat $p/comm) $(cat $p/cgroup); done'",
    "controllers": "on-node sh -c 'cd /sys/fs/cgroup; for g in . system podruntime kubepods; do echo $g "
    "$(cat $g/cgroup.controllers) = $(cat $g/cgroup.subtree_control); done'",
    "identity": "on-node sh -c 'cat /etc/machine-id /var/lib/nodekiln/machine-id'",
    "bridge": "on-node cat /proc/sys/net/bridge/bridge-nf-call-iptables",
    "willing": POD.format("container", "willing", "willing"),
    "stubborn": POD.format("container", "stubborn", "stubborn"),
    "sandbox": POD.format("sandbox", "sandbox", "stubborn"),
}


@pytest.fixture(scope="module")
def seen(derived, config_drive, key, tmp_path_factory):
    built, place = derived(groundwork, tmp_path_factory.mktemp("built")), tmp_path_factory.mktemp("session")
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text(), "-uuid", UUID]
        words += ["-drive", f"file={config_drive},format=raw,if=virtio,readonly=on"]
        with running(place, *words) as machine:
            machine.wait_for("nodekiln: services are up")
            machine.wait_for_ssh()
            found = {name: machine.ssh(key, command) for name, command in LOOK.items()}
            machine.press_power_button()
            machine.wait_for_the_end()
            return found | {"console": machine.console}

    return once("groundwork", [kernel, initrd, cmdline, config_drive], session)


def test_modules_that_the_node_names_are_there_before_its_parameters_are_set(seen):
    assert seen["bridge"] == "1\n"
    assert seen["console"].count("[init] /etc/modules-load.d/") == 1
    assert "[init] /etc/modules-load.d/pods.conf: the kernel has no module no-such-module" in seen["console"]


def test_programs_run_where_containers_live_and_nowhere_else_below_var(seen):
    mounts = {line.split()[4]: line.split() for line in seen["mounts"].splitlines()}
    assert not {"noexec", "nosuid", "nodev"} & {*mounts["/var/lib/kubelet"][5].split(",")}
    assert {"noexec", "nosuid", "nodev"} <= {*mounts["/var"][5].split(",")}
    assert any(word.startswith("shared:") for word in mounts["/var/lib/kubelet"])
    assert seen["kubelet"] == "it runs\n"
    assert "it runs" not in seen["log"] and "ermission denied" in seen["log"]
    assert re.search(r"mounts.d/pods.conf: /var/lib/other: not a list of exec.*: no-such-option", seen["console"])


def test_each_process_is_in_the_cgroup_of_its_kind_and_every_controller_is_handed_down(seen):
    found = {tuple(line.split(" 0::")) for line in seen["cgroups"].splitlines() if " 0::" in line}
    assert [group for name, group in found if name == "init"] == ["/init"]
    assert [group for name, group in found if name == "containerd"] == ["/podruntime/runtime"]
    assert {"/system/sshd", "/system/begins", "/podruntime/kubelet"} <= {group for _, group in found}
    for line in seen["controllers"].splitlines():
        there, handed = ({*words.split()} for words in line.partition(" ")[2].split("="))
        assert {"cpu", "memory", "pids"} <= there == handed, line


def test_the_identity_follows_from_the_machine_s_own_and_is_kept(seen):
    assert seen["identity"] == f"{MACHINE_ID}\n" * 2


def test_a_service_waits_for_its_conditions_but_not_for_ever(seen):
    assert "[service] waits: waits for time, for at most 7 s" in seen["console"]
    assert "[service] waits: started without time, for which it waited 7 s" in seen["console"]
    assert "[service] begins: waits" not in seen["console"]
    assert re.search(r"nodekiln: services are up: .*waits", seen["console"])


def test_pods_end_before_containerd_and_who_does_not_is_ended(seen):
    end = seen["console"].partition("[service] sshd: stopped")[2]
    assert re.search(r"\[pods\] 2 containers stopped in [3-9]\.\d s, 1 of them by force", end)
    assert "reboot: Power down" in end
