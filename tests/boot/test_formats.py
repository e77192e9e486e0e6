"""The node of specs/node.yml in every format that a machine boots, up to its own line: `doit run`'s machines."""

from __future__ import annotations

import os
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pipeline import formats
from pipeline.run import qemu
from tests.boot.machine import once, running, serving
from tests.judges import need

pytestmark = pytest.mark.boot

UP = "nodekiln: services are up: rngd sshd"
FORMATS = {
    # test_root_on_disk.py has ext4
    "amd64": [name for name in formats.names() if name != "ext4" and qemu.bootable(formats.find(name))],
    "arm64": ["kernel+initrd", "raw-efi", "iso-efi", "ext4-efi"],
}
BOOTS = "test_the_node_comes_up_from"
"""The test that boots them."""


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


def up(inputs, folder, arch, *words):
    """The console up to the node's line; then the machine is ended. Equal disks (raw-bios, aws) are booted once."""

    def session():
        with running(folder, *words, arch=arch) as machine:
            machine.wait_for(UP)
            return {"console": machine.console}

    settings = " ".join(word for word in words if "file=" not in word and "/" not in word)
    return once(f"{arch} {settings} {'pflash' in str(words)}", inputs, session)["console"]


@pytest.fixture(scope="module")
def consoles(built, request, tmp_path_factory):
    """A function: architecture, format -> the machine's console.

    As many machines run at a time as there are processors, unless the tests themselves are run side by side.
    """

    def boot(arch, name):
        base, output = built(arch) / "other", formats.find(name)
        return up(qemu.files(output, base), tmp_path_factory.mktemp("boot"), arch, *qemu.start(output, base, arch))

    tests = [item.callspec.params for item in request.session.items if getattr(item, "originalname", "") == BOOTS]
    asked = [] if "PYTEST_XDIST_WORKER" in os.environ else [(each["arch"], each["name"]) for each in tests]
    for arch in {arch for arch, _ in asked}:
        need(qemu.EMULATORS[arch].program, qemu.EMULATORS[arch].packages.split()[0])
        need(qemu.EMULATORS[arch].firmware, qemu.EMULATORS[arch].packages.split()[-1])
        built(arch)
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    begun = {each: pool.submit(boot, *each) for each in asked}
    yield lambda *each: begun[each].result() if each in begun else boot(*each)
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("arch", "name"), [(arch, name) for arch, names in FORMATS.items() for name in names])
def test_the_node_comes_up_from(consoles, arch, name):
    assert re.findall(r"\[onboot\] (\d{3}-\w+): (ok|failed)", consoles(arch, name)) == [
        ("000-sysctl", "ok"), ("001-dhcpcd", "ok"), ("002-metadata", "ok"),
    ]  # fmt: skip


def test_the_node_comes_up_from_gcp_s_disk(built, tmp_path):
    archive = built("amd64") / "other.img.tar.gz"
    with tarfile.open(archive) as members:
        members.extract("disk.raw", tmp_path, filter="data")
    drive = f"file={tmp_path / 'disk.raw'},format=raw,if=virtio,snapshot=on"
    assert UP in up([archive], tmp_path, "amd64", "-drive", drive)


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
