"""The node of specs/node.yml with its root file system on a disk, and not in memory."""

from __future__ import annotations

import pytest

from pipeline.run import qemu
from tests.boot.machine import once, running
from tests.boot.test_node import UP

pytestmark = pytest.mark.boot


def root_on_disk(spec):
    spec["build"] = {"formats": ["bootrd", "ext4", "kernel+erofs", "kernel+squashfs", "qcow2-verity-efi"]}


@pytest.fixture(scope="module")
def built(derived, tmp_path_factory):
    return derived(root_on_disk, tmp_path_factory.mktemp("root"))


def booted(name, tmp_path, inputs, *words):
    """The console of a machine that comes up and is turned off again."""

    def session():
        with running(tmp_path, *words) as machine:
            machine.wait_for(UP)
            machine.wait_for_ssh()
            machine.press_power_button()
            machine.wait_for_the_end()
            return {"console": machine.console}

    console = once(name, inputs, session)["console"]
    assert f"{UP}: rngd sshd" in console
    assert "reboot: Power down" in console
    return console


@pytest.mark.parametrize("kind", ["squashfs", "erofs"])
def test_a_kernel_its_boot_ramdisk_and_a_disk(built, tmp_path, kind):
    kernel, bootrd, disk = (built / f"other-{name}" for name in ("kernel", "bootrd.img", f"{kind}.img"))
    cmdline = f"{(built / 'other-cmdline').read_text()} root=/dev/vda rootfstype={kind}"
    drive = f"file={disk},format=raw,if=virtio,readonly=on"
    words = ["-kernel", str(kernel), "-initrd", str(bootrd), "-append", cmdline, "-drive", drive]
    console = booted(cmdline, tmp_path, [kernel, bootrd, disk], *words)
    assert f"/dev/vda is the root file system ({kind}, ro)" in console


def test_a_disk_with_an_ext4_root(built, tmp_path):
    disk = built / "other-ext4.img"
    console = booted("ext4", tmp_path, [disk], "-drive", f"file={disk},format=raw,if=virtio,snapshot=on")
    assert "/dev/vda2 is the root file system (ext4, ro)" in console


def test_a_disk_with_a_verified_root(built, tmp_path):
    disk = built / "other-verity-efi.qcow2"
    drive = f"file={disk},format=qcow2,if=virtio,snapshot=on"
    console = booted("verity", tmp_path, [disk], *qemu.efi("amd64"), "-drive", drive)
    assert "/dev/dm-0 is the root file system (erofs, ro, verified, panic)" in console
