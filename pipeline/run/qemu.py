"""QEMU: command lines of machines that boot a node from one of its outputs (qemu(1)), and the detection of a failing
accelerator. Nothing is run here.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.container import cmdline
from pipeline.formats import Firmware, Format
from pipeline.model.errors import BadInput, NodekilnError

if TYPE_CHECKING:
    import socket


class Emulator(NamedTuple):
    """QEMU for an architecture.

    packages: Debian's packages of program and firmware. machine: the value of -machine; processor: that of -cpu, for an
    emulated one. firmware, variables: files of UEFI's code and of its initial variables. secure: the code with Secure
    Boot. guards: words for a machine whose variables only this code writes (OvmfPkg/README, SMM_REQUIRE); Arm has none.
    """

    program: str
    packages: str
    machine: str
    processor: str
    firmware: str
    variables: str
    secure: str
    guards: tuple[str, ...] = ()


EMULATORS = {
    "amd64": Emulator(
        "qemu-system-x86_64", "qemu-system-x86 ovmf", "q35", "max",
        "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        ("-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
    ),
    "arm64": Emulator(
        "qemu-system-aarch64", "qemu-system-arm qemu-efi-aarch64", "virt", "cortex-a72",
        "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd", "/usr/share/AAVMF/AAVMF_CODE.fd",
    ),
}  # fmt: skip


DEVICES = {"disk": ["-device", "virtio-blk-pci"], "cd": ["-device", "virtio-scsi-pci", "-device", "scsi-cd"]}


def machine(arch: str, accelerator: str, memory: int = 1024, cpus: int = 1) -> list[str]:
    """Returns the words for a machine with `memory` MiB and its serial console on this terminal."""
    emulator = EMULATORS[arch]
    processor = emulator.processor if accelerator == "tcg" else "host"
    return [
        emulator.program, "-machine", emulator.machine, "-cpu", processor, "-accel", accelerator,
        "-m", str(memory), "-smp", str(cpus), "-nographic", "-no-reboot", "-device", "virtio-rng-pci",
    ]  # fmt: skip


def bootable(format: Format) -> bool:
    """Returns whether a machine boots the format by itself, without anything on the network."""
    return format.boots_directly or format.drive is not None


def files(format: Format, base: Path) -> list[Path]:
    """The files that `start` boots from."""
    return [Path(f"{base}{suffix}") for suffix in format.produces]


def start(format: Format, base: Path, arch: str, append: str = "", enrolled: Path | None = None) -> list[str]:
    """Returns the words for what the machine starts from: the files of the format, called `base` and a suffix.

    They stay as they are. append: more of the kernel's command line, for a direct boot. BadInput if the kernel would
    not take it or there is nothing to boot, NodekilnError if the firmware is not installed. enrolled: variables with
    keys for Secure Boot, of a format that UEFI alone starts.
    """
    if format.boots_directly:
        line = f"{Path(f'{base}-cmdline').read_text()} {append}".strip()
        if refused := cmdline.refusal(line):
            raise BadInput(f"--append: {refused[0]}")
        return ["-kernel", f"{base}-kernel", "-initrd", f"{base}-initrd.img", "-append", line]
    if not format.drive:
        raise BadInput(f"{format.name} is not a format that a machine boots by itself")
    (file,) = files(format, base)
    uefi = format.firmware is Firmware.UEFI
    *devices, device = DEVICES[format.drive.device]
    drive = f"id=node,if=none,format={format.drive.image},file={_name(file)},snapshot=on"
    # a BIOS may start any disk, and UEFI measures each that it tries
    return [*(efi(arch, enrolled) if uefi else ()), "-drive", drive, *devices, f"{device},drive=node,bootindex=0"]


def volume(name: str, path: Path) -> list[str]:
    """Returns the words for a further disk, which the node finds behind its own: the raw image `path`, read-only."""
    drive = f"id={name},if=none,format=raw,file={_name(path)},readonly=on"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]


def monitor(descriptor: int) -> list[str]:
    """Returns the words for a machine that answers `gives_up` on the connected socket `descriptor`, its own end."""
    return ["-chardev", f"socket,id=watch,fd={descriptor}", "-mon", "chardev=watch,mode=control"]


def gives_up(machine: socket.socket) -> bool:
    """Waits for the end of a machine; returns whether its accelerator could not go on (QMP, query-status).

    QEMU stands still then, and neither ends nor says more than "internal error".
    """
    with machine.makefile("rw", encoding="utf-8", newline="\n") as connection, contextlib.suppress(OSError):
        for line in connection:
            message = json.loads(line)
            stopped = message.get("event") == "STOP"
            ask = "qmp_capabilities" if "QMP" in message else "query-status" if stopped else ""
            if ask:
                connection.write(json.dumps({"execute": ask}) + "\n")
                connection.flush()
            answer = message.get("return")
            if isinstance(answer, dict) and answer.get("status") == "internal-error":
                return True
    return False


def _name(path: object) -> str:
    """Returns a path with its commas doubled, for QEMU's options."""
    return str(path).replace(",", ",,")


def efi(arch: str, enrolled: Path | None = None) -> list[str]:
    """Returns the words for UEFI, whose changed variables are dropped. NodekilnError if it is not installed.

    enrolled: a file of variables with keys, for Secure Boot.
    """
    emulator = EMULATORS[arch]
    firmware = emulator.secure if enrolled else emulator.firmware
    if not Path(firmware).exists():
        raise NodekilnError(f"{firmware} is missing (Debian: apt-get install {emulator.packages})")
    unit = "if=pflash,format=raw,unit="
    return [
        *(emulator.guards if enrolled else ()),
        "-drive", f"{unit}0,readonly=on,file={firmware}",
        "-drive", f"{unit}1,snapshot=on,file={_name(enrolled or emulator.variables)}",
    ]  # fmt: skip
