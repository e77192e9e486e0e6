"""examples/boards/rpi3.yml on QEMU's Raspberry Pi 3, from U-Boot on, with a network card on USB."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.machine import once, started
from tests.formats.node import package
from tests.judges import need
from tests.project import ROOT

pytestmark = pytest.mark.boot

BOOT_PARTS = Path(__file__).parent / "fixtures" / "raspi"


def for_qemu(spec):
    """Cards have sizes that are powers of two there, and the firmware is QEMU itself."""
    spec["build"] |= {"size": "128M", "bootloader": f"@pkg:{BOOT_PARTS}"}


def test_the_card_boots_to_the_node_s_own_line(derived, tmp_path, monkeypatch):
    monkeypatch.setenv("NODEKILN_OUTSIDE", "1")  # BOOT_PARTS lies with the tests
    card = derived(for_qemu, tmp_path, ROOT / "examples" / "boards" / "rpi3.yml") / "other-rpi3.img"
    u_boot = package("u-boot-rpi", "arm64") / "usr/lib/u-boot/rpi_3/u-boot.bin"
    command = [
        need("qemu-system-aarch64", "qemu-system-arm"), "-machine", "raspi3b", "-accel", "tcg",
        "-display", "none", "-serial", "null", "-serial", "stdio",
        "-kernel", str(u_boot), "-drive", f"if=sd,format=raw,snapshot=on,file={card}",
        "-netdev", "user,id=net", "-device", "usb-net,netdev=net",
    ]  # fmt: skip

    def session():
        with started(command) as machine:
            machine.wait_for("nodekiln: services are up: rngd sshd")
            return {"console": machine.console}

    console = once("rpi3", [card, u_boot], session)["console"]
    assert "Found /extlinux/extlinux.conf" in console
    assert "[onboot] 001-dhcpcd: ok" in console
