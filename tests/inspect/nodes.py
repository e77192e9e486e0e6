"""A project with images out of a layout: a kernel, images/init's scripts, a step that sets parameters, a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from pipeline.inspect.posture import Posture, posture
from pipeline.kernel.modinfo import SIGNATURE
from pipeline.planning.plan import Plan, plan
from pipeline.project.project import Project
from tests.oci import craft
from tests.project import ROOT, doit, new_project

INIT = ROOT / "images" / "init"
LABEL = {"capabilities": ["CAP_NET_ADMIN"], "binds": ["/etc:/etc", "/var/lib/x:/x"], "pid": "host"}
"""The label of the image `service`."""
MODULES = "lib/modules/6.1.0/"
SYSCTLS = "kernel.kptr_restrict = 2\nnet.ipv4.conf.*.send_redirects = 0\n"
"""The file of kernel parameters in the image `sysctl`."""


def layout(folder: Path, config: str = "") -> None:
    """Writes the images. config: the kernel's configuration."""
    signed, unsigned = (craft.entry(f"{MODULES}{name}.ko", data=b"\x7fELF" + data) for name, data in MODULE_DATA)
    image(folder, "kernel", craft.entry("kernel", data=b"kernel"), craft.entry("kernel-config", data=config.encode()),
          craft.entry("kernel.tar", data=craft.archive(signed, unsigned)))  # fmt: skip
    image(folder, "init", *(craft.entry(path, data=data, mode=0o755) for path, data in init_files().items()))
    image(folder, "weak-init", *weak_init())
    parameters = craft.entry("etc/sysctl.d/00-image.conf", data=SYSCTLS.encode())
    label = {"readonly": True, "binds": ["/etc/sysctl.d:/etc/sysctl.d.node:ro"]}
    program = craft.entry("bin/sysctl", data=b"#!", mode=0o755)
    image(folder, "sysctl", program, parameters, label=label, Cmd=["/bin/sysctl"])
    program = craft.entry("bin/service", data=b"#!", mode=0o755)
    image(folder, "service", program, label=LABEL, Cmd=["/bin/service"], ExposedPorts={"80/tcp": {}})
    image(folder, "plain", program, Cmd=["/bin/service"])


MODULE_DATA = (("signed", b"x" + SIGNATURE), ("unsigned", b"x"))


def init_files() -> dict[str, bytes]:
    files = {"bin/rc.init": "rc.init", "etc/inittab": "inittab", "usr/lib/nodekiln/policy.lua": "lua/policy.lua"}
    return {"init": b"#!"} | {path: (INIT / name).read_bytes() for path, name in files.items()}


def weak_init() -> list[bytes]:
    """An init with a shell on the console, mounts without options, and a set-user-id program."""
    script = (
        b"mount -t tmpfs -o size=10% tmpfs /tmp\nmount -t tmpfs -o mode=1777 shm /dev/shm\n# mount -o remount,ro /\n"
    )
    files = {
        "init": b"#!",
        "bin/rc.init": script,
        "etc/inittab": b"::respawn:/sbin/getty 9600 ttyS0\n# ::once:/bin/sh\n",
    }
    plain = [craft.entry(path, data=data, mode=0o755) for path, data in files.items()]
    return [*plain, craft.entry("bin/su", data=b"su", mode=0o4755)]


def image(folder: Path, name: str, *entries: bytes, label: Any = None, **config: Any) -> None:
    if label:
        config["Labels"] = {"org.mobyproject.config": json.dumps(label)}
    craft.image(folder, [craft.archive(*entries)], name=name, config={"config": config})


def project(root: Path, config: str = "") -> Project:
    """A project with a spec `node` that names all images, and its lock."""
    images = {"onboot": ["sysctl"], "services": ["service", "plain"]}
    spec: dict[str, Any] = {
        section: [{"name": name, "image": f"oci:layout:{name}"} for name in names] for section, names in images.items()
    }
    spec |= {"kernel": {"image": "oci:layout:kernel"}, "init": ["oci:layout:init", "oci:layout:weak-init"]}
    new_project(root, node=yaml.safe_dump(spec | {"build": {"arch": "amd64"}}))
    layout(root / "layout", config)
    doit("lock:node", cwd=root)
    return Project(root)


def planned(project: Project, text: str) -> Plan:
    """The plan of the spec `text`, in the working folder `project`."""
    (project.root / "specs/node.yml").write_text(text)
    return plan(project.load("node"), project.lock("node"), "amd64")


def posture_of(project: Project, text: str) -> Posture:
    return posture(project.store, planned(project, text), "node")
