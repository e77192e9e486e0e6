"""The node of specs/node.yml in every format that a machine boots, up to its own line: `doit run`'s machines."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pipeline import qemu
from tests.boot.machine import once, running, serving
from tests.judges import need

pytestmark = pytest.mark.boot

UP = "nodekiln: services are up: rngd sshd"
FORMATS = {
    "amd64": [*qemu.BOOTABLE],
    "arm64": [qemu.KERNEL, "raw-efi", "iso-efi"],
}


def only(arch, formats):
    """A change of the node's spec."""

    def change(spec):
        spec["build"] = {"arch": arch, "formats": formats}

    return change


@pytest.fixture(scope="module")
def built(derived):
    """A function: architecture -> the folder with the node in all of FORMATS and for the network."""
    made = {}
    with TemporaryDirectory() as place:

        def build(arch) -> Path:
            if arch not in made:
                (folder := Path(place, arch)).mkdir()
                more = ["netboot", "gcp"] if arch == "amd64" else []
                made[arch] = derived(only(arch, [*FORMATS[arch], *more]), folder)
            return made[arch]

        yield build


def up(name, inputs, folder, arch, *words, network=""):
    """The console up to the node's line; then the machine is ended."""

    def session():
        with running(folder, *words, arch=arch, network=network) as machine:
            machine.wait_for(UP)
            return {"console": machine.console}

    return once(f"{name} {arch}", inputs, session)["console"]


@pytest.mark.parametrize(("arch", "name"), [(arch, name) for arch, names in FORMATS.items() for name in names])
def test_the_node_comes_up_from(built, tmp_path, arch, name):
    base = built(arch) / "other"
    need(qemu.EMULATORS[arch].firmware, qemu.EMULATORS[arch].packages.split()[-1])
    console = up(name, qemu.files(name, base), tmp_path, arch, *qemu.start(name, base, arch))
    assert re.findall(r"\[onboot\] (\d{3}-\w+): (ok|failed)", console) == [
        ("000-sysctl", "ok"), ("001-dhcpcd", "ok"), ("002-metadata", "ok"),
    ]  # fmt: skip


def test_the_node_comes_up_from_gcp_s_disk(built, tmp_path):
    archive = built("amd64") / "other.img.tar.gz"
    with tarfile.open(archive) as members:
        members.extract("disk.raw", tmp_path, filter="data")
    drive = f"file={tmp_path / 'disk.raw'},format=raw,if=virtio,snapshot=on"
    assert UP in up("gcp", [archive], tmp_path, "amd64", "-drive", drive)


def test_the_node_comes_up_from_the_network(built, tmp_path):
    """QEMU's own network card has iPXE in its ROM, which gets the script's URL by DHCP."""
    folder = built("amd64")
    need("/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu")
    inputs = [folder / f"other{suffix}" for suffix in (".ipxe", "-kernel", "-initrd.img")]

    def session():
        with serving(folder) as (port, asked):
            network = f",bootfile=http://10.0.2.2:{port}/other.ipxe"
            with running(tmp_path, network=network) as machine:
                machine.wait_for(UP)
            return {"console": machine.console, "asked": "\n".join(asked)}

    seen = once("network", inputs, session)
    assert UP in seen["console"]
    assert re.findall(r'"GET /(\S+) HTTP/1.1" 200', seen["asked"]) == ["other.ipxe", "other-kernel", "other-initrd.img"]
