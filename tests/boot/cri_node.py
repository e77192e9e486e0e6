"""A booted node whose container runtime interface (CRI) tests talk to, through ssh alone; and pods on it.

Source: cri-api v1 (api.proto of kubernetes/cri-api).
"""

from __future__ import annotations

import shutil
import site
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from tests import patience
from tests.boot.machine import SSH_OPTIONS, Machine, free_port, running
from tests.judges import need, python_with, run

REQUIREMENTS = ("container-runtime-interface-api==2.0.1", "grpcio==1.73.1", "protobuf==6.31.1")
SOCKET = "/run/containerd/containerd.sock"
RECIPES = Path(__file__).parent / "fixtures" / "cri"
LOGS = "/var/log/pods"
BUSYBOX = "localhost/busybox:latest"
"""The image of the node that pods of tests run."""
SECONDS = 60
"""Longest wait for an answer, or for a condition, in seconds of a quiet host."""
SLEEP = ("sleep", "100000")
NETWORK = """{
  "cniVersion": "0.4.0", "name": "tests", "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}"""
"""A network as a DaemonSet installs it (CNI specification, 1.0.0, section 1)."""


def api() -> Any:
    """The messages of CRI v1, from an environment of their own."""
    site.addsitedir(sysconfig.get_path("purelib", vars={"base": str(python_with(*REQUIREMENTS).parents[1])}))
    from cri_api.v1 import api_pb2

    return api_pb2


class Node:
    """A machine on which CRI answers. `runtime` and `images` are its services; `api` has the messages."""

    def __init__(self, machine: Machine, key: Path, folder: Path, registry: str) -> None:
        """registry: HOST:PORT here, which the node then reaches at the same address."""
        self.machine, self.registry, self.api = machine, registry, api()
        self._ssh = [need("ssh", "openssh-client"), *SSH_OPTIONS, "-i", str(key), "-p", str(machine.port)]
        self._control, self._ports, self._number = str(folder / "ssh"), dict[int, int](), count()
        self._socket = folder / "cri"
        forwards = ["-L", f"{self._socket}:{SOCKET}", "-R", f"{registry}:{registry}"]
        words = ["-M", "-S", self._control, "-o", "ExitOnForwardFailure=yes", *forwards, "-N", "-f", "root@127.0.0.1"]
        run(*self._ssh, *words, stdout=DEVNULL, stderr=DEVNULL, capture_output=False)  # a pipe would stay open
        self.connect()

    def connect(self) -> None:
        """Connects to CRI, once more after a restart of containerd."""
        import grpc
        from cri_api.v1 import api_pb2_grpc

        self.channel = grpc.insecure_channel(f"unix:{self._socket}")
        wait = patience.seconds(SECONDS)
        self.runtime = Calls(api_pb2_grpc.RuntimeServiceStub(self.channel), self.api, wait)
        self.images = Calls(api_pb2_grpc.ImageServiceStub(self.channel), self.api, wait)

    def is_ready(self) -> bool:
        """The runtime is ready, its network too, and the node's own images are there."""
        ready = all(each.status for each in self.runtime.Status().status.conditions)
        return ready and self.images.ImageStatus(image={"image": BUSYBOX}).HasField("image")

    def close(self) -> None:
        self.channel.close()
        with suppress(AssertionError):
            run(*self._ssh, "-S", self._control, "-O", "exit", "root@127.0.0.1")

    def sh(self, script: str) -> str:
        """What a script prints on the node, outside all containers. AssertionError unless its exit code is 0."""
        words = [*self._ssh, "-S", self._control, "root@127.0.0.1", "on-node", "sh", "-e"]
        return run(*words, input=script, timeout=patience.seconds(SECONDS)).stdout

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Asks until it is true; AssertionError with `otherwise` where it stays false."""
        end = time.monotonic() + patience.seconds(SECONDS)
        while not condition():
            assert time.monotonic() < end, otherwise
            time.sleep(0.1)

    def port(self, remote: int) -> int:
        """A port here that is the port `remote` of the node."""
        if remote not in self._ports:
            local = free_port()
            words = ["-S", self._control, "-O", "forward", "-L", f"127.0.0.1:{local}:127.0.0.1:{remote}"]
            run(*self._ssh, *words, "root@127.0.0.1")
            self._ports[remote] = local
        return self._ports[remote]

    def stream(self, url: str) -> tuple[str, int]:
        """A URL of CRI's streaming server, and the port here at which it is reached."""
        return url, self.port(int(url.split(":")[2].partition("/")[0]))

    def pod_config(self, name: str = "", **fields: Any) -> Any:
        """A PodSandboxConfig: on a network of its own, with a folder for logs."""
        name = name or f"pod-{next(self._number)}"
        metadata = {"name": name, "uid": f"uid-{name}", "namespace": "tests", "attempt": 1}
        linux = {"cgroup_parent": f"/kubepods/{name}", **fields.pop("linux", {})}
        config = {"metadata": metadata, "log_directory": f"{LOGS}/{name}", "linux": linux, "hostname": name} | fields
        return self.api.PodSandboxConfig(**config)

    @contextmanager
    def pod(self, name: str = "", **fields: Any) -> Iterator[Pod]:
        """A running pod, which is removed with all that it has."""
        config = self.pod_config(name, **fields)
        pod = Pod(self, config, self.runtime.RunPodSandbox(config=config).pod_sandbox_id)
        try:
            yield pod
        finally:
            self.runtime.StopPodSandbox(pod_sandbox_id=pod.id)
            self.runtime.RemovePodSandbox(pod_sandbox_id=pod.id)


class Calls:
    """A service of gRPC whose methods take the fields of their requests."""

    def __init__(self, stub: Any, messages: Any, seconds: float) -> None:
        self._stub, self._messages, self._seconds = stub, messages, seconds

    def __getattr__(self, name: str) -> Any:
        method, request = getattr(self._stub, name), getattr(self._messages, f"{name}Request")
        return lambda **fields: method(request(**fields), timeout=self._seconds)


class Pod:
    """A sandbox, with the configuration that it was made from."""

    def __init__(self, node: Node, config: Any, id: str) -> None:
        self.node, self.config, self.id, self._number = node, config, id, count()

    @property
    def status(self) -> Any:
        return self.node.runtime.PodSandboxStatus(pod_sandbox_id=self.id).status

    def create(self, *command: str, image: str = BUSYBOX, **fields: Any) -> Container:
        """A container that is not started. Its log is NAME.log in the pod's folder."""
        name = fields.pop("name", f"container-{next(self._number)}")
        config = {"metadata": {"name": name, "attempt": 1}, "image": {"image": image}, "command": list(command)}
        config |= {"log_path": f"{name}.log"} | fields
        id = self.node.runtime.CreateContainer(
            pod_sandbox_id=self.id, config=config, sandbox_config=self.config
        ).container_id
        return Container(self.node, id, f"{self.config.log_directory}/{name}.log")

    def start(self, *command: str, **fields: Any) -> Container:
        """A running container; it sleeps without a command."""
        container = self.create(*(command or SLEEP), **fields)
        container.start()
        return container

    def output(self, command: str, **fields: Any) -> tuple[str, int]:
        """What a shell's command prints in a container of its own, to both streams; and its exit code."""
        container = self.start("sh", "-c", command, **fields)
        container.wait()
        return container.output(), container.status.exit_code


class Container:
    """A container of a pod."""

    def __init__(self, node: Node, id: str, log: str) -> None:
        self.node, self.id, self.log = node, id, log

    @property
    def status(self) -> Any:
        return self.node.runtime.ContainerStatus(container_id=self.id).status

    @property
    def state(self) -> str:
        """CREATED, RUNNING, EXITED or UNKNOWN."""
        return self.node.api.ContainerState.Name(self.status.state).removeprefix("CONTAINER_")

    def start(self) -> None:
        self.node.runtime.StartContainer(container_id=self.id)

    def stop(self, seconds: int = 0) -> None:
        self.node.runtime.StopContainer(container_id=self.id, timeout=seconds)

    def remove(self) -> None:
        self.node.runtime.RemoveContainer(container_id=self.id)

    def wait(self) -> None:
        """Waits for its end."""
        self.node.until(lambda: self.state == "EXITED", f"{self.id} runs")

    def run(self, *command: str, seconds: int = 0) -> Any:
        """The result of ExecSync."""
        return self.node.runtime.ExecSync(container_id=self.id, cmd=command, timeout=seconds)

    def sh(self, command: str) -> str:
        """What a shell's command prints, both streams, whatever its exit code."""
        return self.run("sh", "-c", f"({command}) 2>&1").stdout.decode()

    def lines(self) -> list[Sequence[str]]:
        """Its log: [(time, stream, tag, text)]."""
        return [line.split(" ", 3) for line in self.node.sh(f"cat {self.log}").splitlines()]

    def output(self) -> str:
        return "".join(text + ("\n" if tag == "F" else "") for _, _, tag, text in self.lines())


@contextmanager
def booted(folder: Path, key: Path, registry: str, *words: str) -> Iterator[Node]:
    """A node that was started with these words of QEMU, has its network for pods, and is closed but for ssh."""
    with running(folder, *words, "-m", "2048", "-smp", "2", network=",restrict=on") as machine:
        machine.wait_for("nodekiln: services are up")
        machine.wait_for_ssh()
        node = Node(machine, key, folder, registry)
        node.sh(f"cat > /etc/cni/net.d/10-tests.conflist << 'END'\n{NETWORK}\nEND\nmkdir -p {LOGS}")
        node.until(node.is_ready, "no network for pods")
        try:
            yield node
        finally:
            node.close()


def with_images(key: Path) -> Callable[[dict[str, Any], Path], None]:
    """A change of examples/kubernetes.yml: the key that may log in, and an image for pods."""

    def change(spec: dict[str, Any], folder: Path) -> None:
        shutil.copytree(RECIPES, folder / "recipes")
        spec["volumes"].append({"name": "busybox", "image": "@pkg:recipes/busybox", "format": "oci", "readonly": True})
        public = key.with_suffix(".pub").read_text()
        spec["files"].append({"path": "etc/ssh/authorized_keys", "contents": public, "mode": "0600"})

    return change
