"""QEMU: the command line of a machine that boots a node from one of its outputs (qemu(1)), and its failing. It says
what to run, and runs nothing.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.container import cmdline
from pipeline.model.errors import BadInput, NodekilnError

if TYPE_CHECKING:
    import socket


class Emulator(NamedTuple):
    """QEMU for an architecture.

    program, packages: what runs, and Debian's packages that have it and the firmware. machine, processor: its values
    of -machine and, where the processor is emulated, -cpu. firmware, variables: UEFI's program and its first settings.
    """

    program: str
    packages: str
    machine: str
    processor: str
    firmware: str
    variables: str


EMULATORS = {
    "amd64": Emulator(
        "qemu-system-x86_64", "qemu-system-x86 ovmf", "q35", "max",
        "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    "arm64": Emulator(
        "qemu-system-aarch64", "qemu-system-arm qemu-efi-aarch64", "virt", "cortex-a72",
        "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
}  # fmt: skip


class Disk(NamedTuple):
    """A file that a machine's firmware starts from: what QEMU calls its kind, whether UEFI does it, and the device."""

    suffix: str
    kind: str = "raw"
    efi: bool = False
    device: str = "virtio-blk-pci"


CD = "scsi-cd"
DISKS = {
    "qcow2-bios": Disk(".qcow2", "qcow2"),
    "qcow2-efi": Disk("-efi.qcow2", "qcow2", efi=True),
    "raw-bios": Disk("-bios.img"),
    "raw-efi": Disk("-efi.img", efi=True),
    "raw-hybrid": Disk("-hybrid.img"),
    "ext4": Disk("-ext4.img"),
    "ext4-efi": Disk("-ext4-efi.img", efi=True),
    "aws": Disk(".raw"),
    "vmdk": Disk(".vmdk", "vmdk"),
    "vhd": Disk(".vhd", "vpc"),
    "dynamic-vhd": Disk("-dynamic.vhd", "vpc"),
    "vhdx": Disk(".vhdx", "vhdx", efi=True),
    "iso-bios": Disk(".iso", device=CD),
    "iso-efi": Disk("-efi.iso", efi=True, device=CD),
    "iso-efi-initrd": Disk("-efi-initrd.iso", efi=True, device=CD),
    "iso-hybrid": Disk("-hybrid.iso", device=CD),
}
KERNEL = "kernel+initrd"
BOOTABLE = (KERNEL, *DISKS)
"""Formats that a machine boots by itself, without anything on the network."""


def machine(arch: str, accelerator: str, memory: int = 1024, cpus: int = 1) -> list[str]:
    """A machine for `arch` with `memory` MiB, its serial console on this terminal."""
    emulator = EMULATORS[arch]
    processor = emulator.processor if accelerator == "tcg" else "host"
    return [
        emulator.program, "-machine", emulator.machine, "-cpu", processor, "-accel", accelerator,
        "-m", str(memory), "-smp", str(cpus), "-nographic", "-no-reboot", "-device", "virtio-rng-pci",
    ]  # fmt: skip


def files(format: str, base: Path) -> list[Path]:
    """What `start` boots from."""
    suffixes = ("-kernel", "-initrd.img", "-cmdline") if format == KERNEL else (DISKS[format].suffix,)
    return [Path(f"{base}{suffix}") for suffix in suffixes]


def start(format: str, base: Path, arch: str, append: str = "") -> list[str]:
    """What the machine starts from: the output `format`, whose files are called `base` and a suffix. They stay as they
    are. append: more of the kernel's command line, for kernel+initrd. BadInput if the kernel would not take it,
    NodekilnError if its firmware is not installed.
    """
    if format == KERNEL:
        line = f"{Path(f'{base}-cmdline').read_text()} {append}".strip()
        if refused := cmdline.refusal(line):
            raise BadInput(f"--append: {refused[0]}")
        return ["-kernel", f"{base}-kernel", "-initrd", f"{base}-initrd.img", "-append", line]
    disk = DISKS[format]
    words = efi(arch) if disk.efi else []
    words += ["-drive", f"id=node,if=none,format={disk.kind},file={_name(f'{base}{disk.suffix}')},snapshot=on"]
    controller = ["-device", "virtio-scsi-pci"] if disk.device == CD else []
    first = "" if disk.efi else ",bootindex=0"  # a BIOS may start any disk; UEFI looks for what it can start
    return [*words, *controller, "-device", f"{disk.device},drive=node{first}"]


def volume(name: str, path: Path) -> list[str]:
    """Returns the words for a further disk, which the node finds behind its own: the raw image `path`, read-only."""
    drive = f"id={name},if=none,format=raw,file={_name(path)},readonly=on"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]


def watched(descriptor: int) -> list[str]:
    """Returns the words for a machine that answers `gives_up` on the connected socket `descriptor`, its own end."""
    return ["-chardev", f"socket,id=watch,fd={descriptor}", "-mon", "chardev=watch,mode=control"]


def gives_up(machine: socket.socket) -> bool:
    """Waits for the end of a machine; returns whether its accelerator could not go on (QMP, query-status).

    QEMU stands still then, and neither ends nor says more than "internal error".
    """
    with machine.makefile("rw", encoding="utf-8", newline="\n") as connection, contextlib.suppress(OSError):
        for line in connection:
            said = json.loads(line)
            ask = "qmp_capabilities" if "QMP" in said else "query-status" if said.get("event") == "STOP" else ""
            if ask:
                connection.write(json.dumps({"execute": ask}) + "\n")
                connection.flush()
            answer = said.get("return")
            if isinstance(answer, dict) and answer.get("status") == "internal-error":
                return True
    return False


def _name(path: object) -> str:
    """Returns a path as QEMU's options take it: a comma is doubled."""
    return str(path).replace(",", ",,")


def efi(arch: str) -> list[str]:
    """UEFI instead of a BIOS; what it stores is forgotten. NodekilnError if it is not installed."""
    emulator = EMULATORS[arch]
    if not Path(emulator.firmware).exists():
        raise NodekilnError(f"{emulator.firmware} is missing (Debian: apt-get install {emulator.packages})")
    unit = "if=pflash,format=raw,unit="
    return [
        "-drive", f"{unit}0,readonly=on,file={emulator.firmware}",
        "-drive", f"{unit}1,snapshot=on,file={emulator.variables}",
    ]  # fmt: skip
