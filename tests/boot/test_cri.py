"""Kubernetes' interface to a container runtime (CRI), on a booted node without a network.

The cases are those of critest (kubernetes-sigs/cri-tools, pkg/validate) that are marked for conformance, and what
images/containerd-cri promises besides. Left out: AppArmor, SELinux and NRI, which the node does not have; idmapped user
namespaces, which containerd 1.7's snapshotter makes by copying; checkpoints, which need criu.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.boot import cri_node, spdy
from tests.boot.cri_node import BUSYBOX, SLEEP
from tests.judges import need, run
from tests.oci import servers
from tests.project import ROOT, doit

pytestmark = pytest.mark.boot


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with servers.docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def project(derived, key, tmp_path_factory):
    """The project whose node is booted."""
    folder = tmp_path_factory.mktemp("cri")
    change = cri_node.with_images(key)
    derived(lambda spec: change(spec, folder), folder, ROOT / "examples" / "kubernetes.yml")
    return folder


@pytest.fixture(scope="module")
def node(project, key, registry):
    built = project / "build/other"
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))
    words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
    with cri_node.booted(project, key, registry, *words) as found:
        yield found


@pytest.fixture(scope="module")
def pod(node):
    """A pod for cases that need no other."""
    with node.pod("shared") as found:
        yield found


# The runtime


def test_version(node):
    answer = node.runtime.Version()
    assert answer.runtime_name == "containerd" and answer.runtime_api_version == "v1"
    assert re.match(r"v?\d+\.\d+", answer.runtime_version)


def test_status(node):
    answer = node.runtime.Status(verbose=True)
    conditions = {each.type: each.status for each in answer.status.conditions}
    assert conditions["RuntimeReady"] and conditions["NetworkReady"]
    assert not json.loads(answer.info["config"])["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"]


# Pods


def test_a_pod_runs_stops_and_is_removed(node):
    with node.pod() as pod:
        assert pod.status.state == node.api.SANDBOX_READY
        assert pod.status.network.ip.startswith("10.88.")
        node.runtime.StopPodSandbox(pod_sandbox_id=pod.id)
        assert pod.status.state == node.api.SANDBOX_NOTREADY
    listed = node.runtime.ListPodSandbox(filter={"id": pod.id})
    assert not listed.items


def test_stopping_and_removing_a_pod_twice_is_no_error(node):
    with node.pod() as pod:
        node.runtime.StopPodSandbox(pod_sandbox_id=pod.id)
        node.runtime.StopPodSandbox(pod_sandbox_id=pod.id)
        node.runtime.RemovePodSandbox(pod_sandbox_id=pod.id)
    assert not node.runtime.ListPodSandbox(filter={"id": pod.id}).items


def test_a_pods_attributes(node):
    labels, annotations = {"app": "test", "tier": "one"}, {"note": "a b\nc"}
    with node.pod(labels=labels, annotations=annotations) as pod:
        assert (dict(pod.status.labels), dict(pod.status.annotations)) == (labels, annotations)
        assert pod.status.metadata == pod.config.metadata
        found = node.runtime.ListPodSandbox(filter={"label_selector": {"app": "test"}}).items
        assert [each.id for each in found] == [pod.id]
        ready = node.runtime.ListPodSandbox(filter={"state": {"state": node.api.SANDBOX_READY}}).items
        assert pod.id in {each.id for each in ready}


def test_a_pod_of_the_same_name_is_refused(node):
    with node.pod() as pod, pytest.raises(Exception, match="reserved for"):
        node.runtime.RunPodSandbox(config=pod.config)


def test_sysctls_of_a_pod(node):
    sysctls = {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_local_port_range": "1024 65000", "fs.mqueue.msg_max": "100"}
    with node.pod(linux={"sysctls": sysctls}) as pod:
        text = pod.start().sh("cd /proc/sys; cat kernel/shm_rmid_forced net/ipv4/ip_local_port_range fs/mqueue/msg_max")
    assert text.split() == ["1", "1024", "65000", "100"]


def test_the_host_name_of_a_pod(node):
    with node.pod(hostname="a-name") as pod:
        container = pod.start()
        assert container.sh("hostname; cat /etc/hostname").split() == ["a-name"] * 2


def test_the_dns_of_a_pod(node):
    dns = {"servers": ["10.10.10.10"], "searches": ["example.org"], "options": ["ndots:8"]}
    with node.pod(dns_config=dns) as pod:
        text = pod.start().sh("cat /etc/resolv.conf")
    assert text.splitlines() == ["search example.org", "nameserver 10.10.10.10", "options ndots:8"]


def test_the_network_of_the_node(node):
    host = {"security_context": {"namespace_options": {"network": node.api.NODE}}}
    with node.pod(linux=host, hostname="") as pod:
        cards = pod.start(linux=host).sh("ls /sys/class/net").split()
    assert "eth0" in cards and "cni0" in cards


def test_pods_reach_each_other_and_the_node_reaches_them(node, pod):
    serve = ("sh", "-c", "mkdir /w; echo hello > /w/index.html; httpd -f -p 80 -h /w")
    with node.pod() as other:
        other.start(*serve)
        url = f"http://{other.status.network.ip}/"
        node.until(lambda: "hello" in pod_fetches(pod, url), "no answer")
        assert node.sh(f"wget -q -O - {url}") == "hello\n"


def pod_fetches(pod, url):
    container = pod.start("sh", "-c", f"wget -q -O - {url}")
    container.wait()
    return container.output()


def test_a_port_of_the_node_leads_to_a_pod(node):
    mapping = {"protocol": node.api.TCP, "container_port": 80, "host_port": 12080}
    with node.pod(port_mappings=[mapping]) as pod:
        pod.start("sh", "-c", "mkdir /w; echo mapped > /w/index.html; httpd -f -p 80 -h /w")
        address = node.sh("ip -4 -o addr show dev eth0").split()[3].partition("/")[0]
        node.until(lambda: node.sh(f"wget -q -O - http://{address}:12080/ || true") == "mapped\n", "no answer")
    assert node.sh(f"wget -q -T 2 -O - http://{address}:12080/ || echo closed") == "closed\n"


NAMESPACES = {"pod": "POD", "container": "CONTAINER", "node": "NODE"}


@pytest.mark.parametrize("kind", NAMESPACES)
def test_process_ids_of_a_namespace(node, kind):
    options = {"security_context": {"namespace_options": {"pid": getattr(node.api, NAMESPACES[kind])}}}
    with node.pod(linux=options) as pod:
        text = pod.start(linux=options).sh("cat /proc/1/cmdline | tr '\\0' ' '")
    assert text.split()[0] == {"pod": "/usr/bin/catatonit", "container": "sleep", "node": "init"}[kind]


@pytest.mark.parametrize("kind", ["pod", "node"])
def test_ipc_of_a_namespace(node, kind):
    options = {"security_context": {"namespace_options": {"ipc": getattr(node.api, NAMESPACES[kind])}}}
    with node.pod(linux=options) as pod:
        inside = pod.start(linux=options).sh("readlink /proc/self/ns/ipc")
    assert (inside == node.sh("readlink /proc/self/ns/ipc")) == (kind == "node")


def test_containers_of_a_pod_share_its_network(pod):
    first, second = pod.start(), pod.start()
    assert first.sh("readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts") == second.sh(
        "readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts"
    )
    assert first.sh("readlink /proc/self/ns/mnt") != second.sh("readlink /proc/self/ns/mnt")


def test_statistics_of_a_pod(node, pod):
    pod.start()
    stats = node.runtime.PodSandboxStats(pod_sandbox_id=pod.id).stats
    assert stats.attributes.id == pod.id and stats.linux.cpu.usage_core_nano_seconds.value > 0


# Containers


def test_a_container_is_created_starts_stops_and_is_removed(node, pod):
    container = pod.create(*SLEEP)
    states = [container.state]
    container.start()
    states.append(container.state)
    container.stop()
    states.append(container.state)
    container.remove()
    assert states == ["CREATED", "RUNNING", "EXITED"]
    assert not node.runtime.ListContainers(filter={"id": container.id}).containers


def test_stopping_and_removing_a_container_twice_is_no_error(pod):
    container = pod.start()
    for _ in range(2):
        container.stop()
    for _ in range(2):
        container.remove()


def test_a_container_that_never_started_is_removed(pod):
    container = pod.create(*SLEEP)
    container.remove()
    with pytest.raises(Exception, match="not found"):
        assert container.state


def test_an_exit_code(pod):
    assert pod.output("echo out; exit 7") == ("out\n", 7)


def test_a_program_that_is_not_there(pod):
    container = pod.create("/nothing")
    with pytest.raises(Exception, match="no such file"):
        container.start()
    assert container.state == "EXITED" and container.status.exit_code == 128


def test_sigterm_comes_before_sigkill(pod):
    polite = pod.start("sh", "-c", "trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done")
    polite.stop(60)
    stubborn = pod.start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    stubborn.stop(1)
    assert (polite.status.exit_code, polite.output()) == (3, "bye\n")
    assert stubborn.status.exit_code == 137


def test_lists_of_containers(node, pod):
    first, second = pod.start(labels={"n": "1"}), pod.create(*SLEEP, labels={"n": "2"})
    of_pod = {"pod_sandbox_id": pod.id}
    for wanted, filter in [
        (first, {"id": first.id}),
        (second, {"label_selector": {"n": "2"}}),
        (first, {"state": {"state": node.api.CONTAINER_RUNNING}, "label_selector": {"n": "1"}}),
    ]:
        listed = node.runtime.ListContainers(filter=of_pod | filter).containers
        assert [each.id for each in listed] == [wanted.id]


def test_statistics_of_containers(node, pod):
    container = pod.start(labels={"stats": "yes"})
    stats = node.runtime.ContainerStats(container_id=container.id).stats
    assert stats.cpu.usage_core_nano_seconds.value > 0 and stats.memory.working_set_bytes.value > 0
    listed = node.runtime.ListContainerStats(filter={"label_selector": {"stats": "yes"}}).stats
    assert [each.attributes.id for each in listed] == [container.id]


def test_environment_folder_and_arguments(pod):
    envs = [{"key": "A", "value": "one two"}, {"key": "B", "value": ""}]
    assert pod.output('echo "$A|$B|$(pwd)|$PATH"', envs=envs, working_dir="/tmp")[0] == "one two||/tmp|/bin:/usr/bin\n"


def test_the_images_command_holds_without_one(node, pod):
    own = {"namespace_options": {"pid": node.api.CONTAINER}}
    container = pod.create(stdin=True, **linux(**own))
    container.start()
    assert container.sh("cat /proc/1/comm").strip() == "sh"


def test_exec_sync(pod):
    result = pod.start().run("sh", "-c", "echo out; echo err >&2; exit 5")
    assert (result.stdout, result.stderr, result.exit_code) == (b"out\n", b"err\n", 5)


def test_exec_sync_with_a_time_out(pod):
    container = pod.start()
    with pytest.raises(Exception, match=r"DEADLINE_EXCEEDED|timeout 1s exceeded"):
        container.run("sleep", "1000", seconds=1)
    assert container.sh("ps | grep -c '[s]leep 1000$'").strip() == "0"


def test_the_log_of_a_container(pod):
    container = pod.start("sh", "-c", "echo one; echo two >&2; printf three")
    container.wait()
    assert [(stream, tag, text) for _, stream, tag, text in container.lines()] in [
        [("stdout", "F", "one"), ("stderr", "F", "two"), ("stdout", "P", "three")],
        [("stdout", "F", "one"), ("stdout", "P", "three"), ("stderr", "F", "two")],
        [("stderr", "F", "two"), ("stdout", "F", "one"), ("stdout", "P", "three")],
    ]
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)")
    assert all(stamp.fullmatch(line[0]) for line in container.lines())


def test_a_log_that_was_moved_is_opened_again(node, pod):
    container = pod.start("sh", "-c", "while :; do echo line; sleep 0.1; done")
    node.until(lambda: container.output(), "nothing in the log")
    node.sh(f"mv {container.log} {container.log}.1")
    node.runtime.ReopenContainerLog(container_id=container.id)
    node.until(lambda: "line" in container.output(), "nothing in the new log")
    container.stop()


def test_a_container_out_of_memory(pod):
    limit = {"resources": {"memory_limit_in_bytes": 32 << 20}}
    container = pod.start("sh", "-c", "dd if=/dev/zero of=/dev/null bs=256M count=1", linux=limit)
    container.wait()
    assert (container.status.exit_code, container.status.reason) == (137, "OOMKilled")


def test_limits_change_while_a_container_runs(node, pod):
    container = pod.start(linux={"resources": {"memory_limit_in_bytes": 64 << 20}})
    node.runtime.UpdateContainerResources(
        container_id=container.id, linux={"memory_limit_in_bytes": 96 << 20, "cpu_quota": 50000, "cpu_period": 100000}
    )
    assert container.sh("cd /sys/fs/cgroup; cat memory.max cpu.max").split() == [str(96 << 20), "50000", "100000"]


def test_the_cgroup_is_the_pods(node):
    with node.pod("grouped") as pod:
        container = pod.start()
        paths = node.sh("find /sys/fs/cgroup/kubepods/grouped -mindepth 1 -type d")
        assert {path.rpartition("/")[2] for path in paths.split()} == {pod.id, container.id}


# Streams


def test_exec(node, pod):
    streams = spdy.command(*node.stream(exec_url(node, pod.start(), "sh", "-c", "echo out; echo err >&2; exit 4")))
    assert (streams["stdout"], streams["stderr"]) == (b"out\n", b"err\n")
    causes = json.loads(streams["error"])["details"]["causes"]
    assert causes == [{"reason": "ExitCode", "message": "4"}]


def exec_url(node, container, *command, **fields):
    fields = {"stdout": True, "stderr": True} | fields
    return node.runtime.Exec(container_id=container.id, cmd=command, **fields).url


def test_exec_with_input(node, pod):
    data = bytes(range(256)) * 4096
    url, port = node.stream(exec_url(node, pod.start(), "sh", "-c", "cat; echo end >&2", stdin=True))
    streams = spdy.command(url, port, data)
    assert (streams["stdout"], streams["stderr"]) == (data, b"end\n")
    assert json.loads(streams["error"])["status"] == "Success"


def test_exec_with_a_terminal(node, pod):
    url, port = node.stream(exec_url(node, pod.start(), "sh", tty=True, stdin=True, stderr=False))
    streams = spdy.command(url, port, b"tty; sleep 1; stty size\nexit\n", tty=True, size="100x30")
    assert b"/dev/pts/" in streams["stdout"] and b"30 100" in streams["stdout"]


def test_attach(node, pod):
    script = "read line; echo got $line; read line; echo then $line"
    container = pod.create("sh", "-c", script, stdin=True, stdin_once=True)
    container.start()
    request = {"container_id": container.id, "stdin": True, "stdout": True, "stderr": True}
    url, port = node.stream(node.runtime.Attach(**request).url)
    assert spdy.command(url, port, b"a\nb\n")["stdout"] == b"got a\nthen b\n"
    container.wait()
    assert container.output() == "got a\nthen b\n"


@pytest.mark.parametrize("network", ["POD", "NODE"])
def test_port_forward(node, network):
    options = {"security_context": {"namespace_options": {"network": getattr(node.api, network)}}}
    with node.pod(linux=options, hostname="" if network == "NODE" else "x") as pod:
        script = "mkdir /w; seq 100000 > /w/n; httpd -f -p 127.0.0.1:12345 -h /w"
        container = pod.start("sh", "-c", script, linux=options)
        ready = "wget -q -O /dev/null http://127.0.0.1:12345/n && echo ready"
        node.until(lambda: "ready" in container.sh(ready), "no httpd")
        for _ in range(2):
            url, port = node.stream(node.runtime.PortForward(pod_sandbox_id=pod.id, port=[12345]).url)
            answer = spdy.forward(url, port, 12345, b"GET /n HTTP/1.0\r\n\r\n")
            head, _, body = answer.partition(b"\r\n\r\n")
            assert re.match(rb"HTTP/1\.[01] 200", head)
            assert body == b"".join(b"%d\n" % number for number in range(1, 100001))


# Files


def test_a_folder_of_the_node(node, pod):
    node.sh("mkdir -p /var/lib/kubelet/both; echo from the node > /var/lib/kubelet/both/a")
    mounts = [{"host_path": "/var/lib/kubelet/both", "container_path": "/data"}]
    assert pod.output("cat /data/a; echo from the pod > /data/b", mounts=mounts) == ("from the node\n", 0)
    assert node.sh("cat /var/lib/kubelet/both/b") == "from the pod\n"


def test_a_folder_of_the_node_that_is_read_only(node, pod):
    node.sh("mkdir -p /var/lib/kubelet/fixed")
    mounts = [{"host_path": "/var/lib/kubelet/fixed", "container_path": "/data", "readonly": True}]
    text, code = pod.output("touch /data/a", mounts=mounts)
    assert code == 1 and "Read-only" in text


def test_a_link_to_a_folder_of_the_node(node, pod):
    node.sh("mkdir -p /var/lib/kubelet/real; ln -sfn real /var/lib/kubelet/link; echo linked > /var/lib/kubelet/real/a")
    mounts = [{"host_path": "/var/lib/kubelet/link", "container_path": "/data"}]
    assert pod.output("cat /data/a", mounts=mounts) == ("linked\n", 0)


def test_programs_run_in_an_empty_dir_and_keep_their_set_uid_bit(node, pod):
    """By ping, which takes a raw socket: of all programs of busybox that one keeps what the bit gives."""
    node.sh("mkdir -p /var/lib/kubelet/empty; chmod 777 /var/lib/kubelet/empty")
    mounts = [{"host_path": "/var/lib/kubelet/empty", "container_path": "/data"}]
    script = "cp /usr/bin/busybox /data/busybox; chmod 4755 /data/busybox; /data/busybox echo runs"
    assert pod.output(script, mounts=mounts) == ("runs\n", 0)
    user = linux(run_as_user={"value": 1000})
    assert pod.output("/bin/ping -c 1 127.0.0.1", mounts=mounts, **user)[1] != 0
    assert pod.output("/data/busybox ping -c 1 127.0.0.1", mounts=mounts, **user)[1] == 0


PROPAGATION = {"PROPAGATION_PRIVATE": "", "PROPAGATION_HOST_TO_CONTAINER": "in", "PROPAGATION_BIDIRECTIONAL": "in out"}


@pytest.mark.parametrize("kind", PROPAGATION)
def test_mounts_are_propagated(node, kind):
    privileged = {"security_context": {"privileged": True}}
    folder = f"/var/lib/kubelet/{kind.lower()}"
    node.sh(f"mkdir -p {folder}/in {folder}/out")
    with node.pod(linux=privileged) as pod:
        mount = {"host_path": folder, "container_path": "/data", "propagation": getattr(node.api, kind)}
        container = pod.start(mounts=[mount], linux=privileged)
        node.sh(f"mount -t tmpfs none {folder}/in; touch {folder}/in/seen")
        container.sh("mount -t tmpfs none /data/out; touch /data/out/seen")
        arrived = [name for name, seen in {
            "in": container.sh("ls /data/in"), "out": node.sh(f"ls {folder}/out")
        }.items() if seen]  # fmt: skip
        node.sh(f"umount {folder}/in; umount {folder}/out 2> /dev/null || true")
    assert arrived == PROPAGATION[kind].split()


# Rights


def linux(**context):
    return {"linux": {"security_context": context}}


def test_user_and_groups(pod):
    context = linux(run_as_user={"value": 1002}, run_as_group={"value": 4321}, supplemental_groups=[1234, 5678])
    assert pod.output("id -u; id -g; id -G", **context)[0].split() == ["1002", "4321", "4321", "1234", "5678"]


def test_a_user_by_name(pod):
    assert pod.output("id -u; id -g", **linux(run_as_username="ordinary"))[0].split() == ["1002", "1003"]


def test_a_group_without_a_user_is_refused(pod):
    with pytest.raises(Exception, match="without user"):
        pod.create(*SLEEP, **linux(run_as_group={"value": 4321}))


CAPABILITIES = "grep CapBnd /proc/self/status"


def test_a_container_has_some_capabilities(pod):
    assert pod.output(CAPABILITIES)[0].split()[1] == "00000000a80425fb"


def test_capabilities_are_added_and_dropped(pod):
    added = linux(capabilities={"add_capabilities": ["NET_ADMIN"]})
    assert pod.output("ip link add x type dummy", **added)[1] == 0
    assert pod.output("ip link add y type dummy")[1] != 0
    dropped = linux(capabilities={"drop_capabilities": ["ALL"], "add_capabilities": ["CHOWN"]})
    assert int(pod.output(CAPABILITIES, **dropped)[0].split()[1], 16) == 1


def test_a_privileged_container(node):
    with node.pod(**linux(privileged=True)) as pod:
        script = f"ls /dev/kmsg; mount -t tmpfs none /tmp && {CAPABILITIES}"
        text, code = pod.output(script, **linux(privileged=True))
    assert "/dev/kmsg" in text and int(text.split()[-1], 16) >= (1 << 40) - 1 and code == 0


def test_an_ordinary_container_cannot_mount(pod):
    assert pod.output("mount -t tmpfs none /tmp")[1] != 0


@pytest.mark.parametrize("readonly", [True, False])
def test_a_root_that_is_read_only_or_not(pod, readonly):
    assert (pod.output("touch /new", **linux(readonly_rootfs=readonly))[1] != 0) == readonly


def test_no_new_privileges(pod):
    assert pod.output("grep NoNewPrivs /proc/self/status", **linux(no_new_privs=True))[0].split()[1] == "1"
    assert pod.output("grep NoNewPrivs /proc/self/status")[0].split()[1] == "0"


def test_seccomp(node, pod):
    """By default only what is permitted, all when unconfined, and a profile of the node's."""
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    node.sh(f"mkdir -p /var/lib/kubelet/seccomp; echo '{json.dumps(profile)}' > /var/lib/kubelet/seccomp/a.json")
    api = node.api.SecurityProfile
    modes = {}
    for name, context in {
        "default": linux(seccomp={"profile_type": api.RuntimeDefault}),
        "unconfined": linux(seccomp={"profile_type": api.Unconfined}),
        "own": linux(seccomp={"profile_type": api.Localhost, "localhost_ref": "/var/lib/kubelet/seccomp/a.json"}),
    }.items():
        text, _ = pod.output("grep Seccomp: /proc/self/status; mkdir /tmp/d && echo made", **context)
        modes[name] = (text.split()[1], "made" in text)
    assert modes == {"default": ("2", True), "unconfined": ("0", True), "own": ("2", False)}


def test_paths_that_are_masked_or_read_only(pod):
    context = linux(masked_paths=["/proc/meminfo"], readonly_paths=["/proc/sys"])
    text, _ = pod.output("cat /proc/meminfo | wc -c; echo 1 > /proc/sys/net/ipv4/ip_forward", **context)
    assert text.split()[0] == "0" and "Read-only" in text


def test_a_device_of_the_node(pod):
    """One to which no container has access without being given it."""
    devices = [{"host_path": "/dev/loop-control", "container_path": "/dev/mine", "permissions": "r"}]
    text, code = pod.output(": < /dev/mine && echo read; : > /dev/mine", devices=devices)
    assert "read" in text and "not permitted" in text and code != 0


# Images


@pytest.fixture(scope="module")
def pushed(project, registry):
    """A function: an image in the registry by this name -> its digest. It is none of the node's own: ids are shared."""

    def push(name):
        doit("image:sysctl", "--push", f"{registry}/{name}", cwd=project, NODEKILN_CACHE=str(ROOT / "cache"))
        return json.loads(run(need("skopeo"), "inspect", "--tls-verify=false", f"docker://{registry}/{name}").stdout)[
            "Digest"
        ]

    return push


def image_status(node, image):
    answer = node.images.ImageStatus(image={"image": image})
    return answer.image if answer.HasField("image") else None


def test_an_image_is_pulled_listed_and_removed(node, registry, pushed):
    name = f"{registry}/acme/one:1"
    digest = pushed("acme/one:1")
    reference = node.images.PullImage(image={"image": name}).image_ref
    found = image_status(node, name)
    assert found.id == reference and name in found.repo_tags and f"{registry}/acme/one@{digest}" in found.repo_digests
    assert found.size > 0 and found.uid.value == 0
    listed = node.images.ListImages(filter={"image": {"image": name}}).images
    assert reference in {each.id for each in listed}  # containerd lists all images, whatever the filter
    with node.pod() as pod:
        assert pod.output("echo runs", image=name) == ("runs\n", 0)
    for _ in range(2):
        node.images.RemoveImage(image={"image": name})
    assert image_status(node, name) is None


@pytest.mark.parametrize("tag", ["", ":2"])
def test_an_image_is_pulled_by_its_digest(node, registry, pushed, tag):
    name = f"{registry}/acme/two{tag}@{pushed('acme/two:2')}"
    node.images.PullImage(image={"image": name})
    found = image_status(node, name)
    assert list(found.repo_digests) and not list(found.repo_tags)
    node.images.RemoveImage(image={"image": name})
    assert image_status(node, name) is None


def test_an_image_that_is_not_there(node, registry):
    with pytest.raises(Exception, match="not found"):
        node.images.PullImage(image={"image": f"{registry}/acme/nothing:1"})
    assert image_status(node, f"{registry}/acme/nothing:1") is None


def test_the_images_of_the_node_are_there_and_pinned(node):
    listed = {tag: each for each in node.images.ListImages().images for tag in each.repo_tags}
    assert {"localhost/pause:latest", BUSYBOX} <= set(listed)
    assert listed["localhost/pause:latest"].pinned and listed[BUSYBOX].pinned


def test_an_image_of_the_node_that_was_removed_comes_back(node):
    name = "localhost/pause:latest"
    node.images.RemoveImage(image={"image": image_status(node, name).id})
    assert image_status(node, name) is None
    node.sh("kill -HUP $(pidof images)")
    node.until(lambda: image_status(node, name) is not None, "the image does not come back")
    with node.pod():
        pass


def test_room_for_images(node):
    (found,) = node.images.ImageFsInfo().image_filesystems
    assert found.fs_id.mountpoint.endswith("io.containerd.snapshotter.v1.overlayfs") and found.used_bytes.value > 0


# The node


def test_a_plugin_that_a_pod_installs_stays_and_ours_are_seeded(node):
    node.sh(
        "cd /opt/cni/bin; printf '#!/bin/sh\\necho installed\\n' > mine; chmod 755 mine; rm ptp; ln -sf /bin/sh tuning"
    )
    node.sh("umount /opt/cni/bin /etc/cni/net.d; /etc/init.d/017-cni")  # as the next boot does where /var is on a disk
    assert node.sh("/opt/cni/bin/mine") == "installed\n"
    names = node.sh("ls /opt/cni/bin").split()
    assert set(names) == {"mine", *node.sh("ls /usr/lib/cni").split()}
    assert node.sh("cmp /opt/cni/bin/tuning /usr/lib/cni/tuning") == ""
    assert node.sh("stat -c %a /etc/cni/net.d; ls /etc/cni/net.d").split() == ["755", "10-tests.conflist"]


def test_pods_outlive_containerd_and_so_do_services(node):
    with node.pod() as pod:
        container = pod.start()
        before = container.sh("cat /proc/1/stat").split()[21]
        node.sh("kill -9 $(pidof containerd)")
        node.until(lambda: answers(node), "containerd does not come back")
        assert container.state == "RUNNING" and container.sh("cat /proc/1/stat").split()[21] == before
    assert re.search(r"^sshd +running", node.sh("service list"), re.MULTILINE)


def answers(node):
    """Whether CRI answers on a new connection."""
    node.channel.close()
    node.connect()
    try:
        return bool(node.runtime.Status().status.conditions[0].status)
    except Exception:
        return False


def test_a_drop_in_of_the_nodes_metadata_changes_the_configuration(node):
    node.sh("mkdir -p /run/config/containerd; printf 'version = 2\\n[plugins.\"io.containerd.grpc.v1.cri\"]\\n"
            "sandbox_image = \"localhost/other:1\"\\n' > /run/config/containerd/10-pause.toml")  # fmt: skip
    text = node.sh("containerd --config /etc/containerd/config.toml config dump")
    node.sh("rm -r /run/config/containerd")
    assert re.search(r'sandbox_image = ["\']localhost/other:1["\']', text) and 'conf_dir = "/etc/cni/net.d"' in text


def test_nothing_of_the_root_is_writable(node):
    """Besides the two folders of network plugins, which lie below /var."""
    places = node.sh("awk '$4 ~ /^rw/ { print $2 }' /proc/mounts").split()
    allowed = re.compile(r"/(var|run|tmp|dev|proc|sys|opt/cni/bin|etc/cni/net\.d|containers/.*)(/.*)?")
    assert [place for place in places if not allowed.fullmatch(place)] == []
