"""images/containerd-cri: one configuration for the containerd of every Debian, judged by containerd itself."""

from __future__ import annotations

import functools
import operator
import tarfile
import tomllib

import pytest

from tests.judges import run
from tests.project import ROOT, doit, new_project

pytestmark = pytest.mark.network

SPEC = 'init: ["@pkg:images/containerd-cri"]\nbuild: {formats: [tar], release: RELEASE}\n'
SOURCES = "sid:\n  - {archive: debian, suites: [sid]}\n"
"""A release with containerd 2.x, whose configuration has version 3."""
RELEASES = {"bookworm": 2, "trixie": 2, "sid": 3}
"""Release -> the version in which its containerd prints its configuration."""
BEFORE = {
    "sandbox": ("sandbox_image",),
    "registries": ("registry", "config_path"),
    "snapshotter": ("containerd", "snapshotter"),
    "discard": ("containerd", "discard_unpacked_layers"),
    "network": ("cni", "conf_dir"),
    "plugins": ("cni", "bin_dir"),
    "devices": ("device_ownership_from_security_context",),
    "stream": ("stream_server_address",),
    "cgroups": ("containerd", "runtimes", "runc", "options", "SystemdCgroup"),
}
"""Setting -> its keys below the one plugin of version 2."""
IMAGES, RUNTIME, SERVER = "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"
AFTER = {
    "sandbox": (IMAGES, "pinned_images", "sandbox"),
    "registries": (IMAGES, "registry", "config_path"),
    "snapshotter": (IMAGES, "snapshotter"),
    "discard": (IMAGES, "discard_unpacked_layers"),
    "network": (RUNTIME, "cni", "conf_dir"),
    "plugins": (RUNTIME, "cni", "bin_dirs"),
    "devices": (RUNTIME, "device_ownership_from_security_context"),
    "stream": (SERVER, "stream_server_address"),
    "cgroups": (RUNTIME, "containerd", "runtimes", "runc", "options", "SystemdCgroup"),
}
"""Setting -> its keys below the plugins of version 3."""
WANTED = {
    "sandbox": "localhost/pause:latest",
    "registries": "/etc/containerd/certs.d",
    "snapshotter": "overlayfs",
    "discard": True,
    "network": "/etc/cni/net.d",
    "plugins": "/opt/cni/bin",
    "devices": True,
    "stream": "127.0.0.1",
    "cgroups": False,
}


@pytest.mark.parametrize("release", RELEASES)
def test_each_containerd_reads_the_configuration(release, tmp_path):
    project = new_project(tmp_path / "project", node=SPEC.replace("RELEASE", release))
    (project / "images").symlink_to(ROOT / "images")
    if release == "sid":
        (project / "sources.yml").write_text(SOURCES)
    doit("build:node", cwd=project, NODEKILN_CACHE=str(ROOT / "cache"))
    with tarfile.open(project / "build/node/node.tar") as archive:
        for name in ("usr/bin/containerd", "etc/containerd/config.toml"):
            archive.extract(name, tmp_path, filter="data")
    words = ["--config", tmp_path / "etc/containerd/config.toml", "config", "dump"]
    document = tomllib.loads(run(tmp_path / "usr/bin/containerd", *words).stdout)
    assert document["version"] == RELEASES[release]
    places = AFTER if document["version"] == 3 else {name: (SERVER, *keys) for name, keys in BEFORE.items()}
    settings = {name: functools.reduce(operator.getitem, keys, document["plugins"]) for name, keys in places.items()}
    assert settings | {"plugins": "".join(settings["plugins"])} == WANTED
