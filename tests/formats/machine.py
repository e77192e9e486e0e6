"""A virtual machine that boots an image, once: what it said on its console is kept under the image's hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryFile
from threading import Timer
from typing import IO, NamedTuple

from tests import patience
from tests.formats.node import UP, cache
from tests.judges import need

LONGEST_BOOT = 300
"""Longest run of a machine, in seconds of a quiet host, before it is ended; the slowest needs 10."""
CONSOLE_END = 2000
"""Characters of the console that a failed boot shows."""


class Emulator(NamedTuple):
    """QEMU for an architecture: its program and package, the machine, and its UEFI firmware and that one's package."""

    program: str
    package: str
    machine: tuple[str, ...]
    firmware: str
    variables: str
    firmware_package: str


EMULATORS = {
    "amd64": Emulator(
        "qemu-system-x86_64", "qemu-system-x86", (),
        "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf",
    ),
    "arm64": Emulator(
        "qemu-system-aarch64", "qemu-system-arm", ("-machine", "virt", "-cpu", "cortex-a57"),
        "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd", "qemu-efi-aarch64",
    ),
}  # fmt: skip
EFI_MACHINE = {"amd64": ["-machine", "q35"], "arm64": []}
PLAIN = ("-accel", "tcg", "-m", "512", "-nographic", "-no-reboot", "-net", "none")
RASPBERRY = (
    "-machine", "raspi3b", "-accel", "tcg", "-display", "none", "-monitor", "none",
    "-serial", "null", "-serial", "stdio",
)  # fmt: skip
"""Its console is the second serial port."""
DRIVES = {
    "virtio": "-drive file={},format={},if=virtio,snapshot=on",
    "ide": "-drive file={},format={},if=ide,snapshot=on",
    "sata": "-device ahci,id=s -device ide-hd,drive=d,bus=s.0 -drive id=d,file={},format={},if=none,snapshot=on",
    "usb": "-device qemu-xhci -device usb-storage,drive=d -drive id=d,file={},format={},if=none,snapshot=on",
    "cd": "-drive file={},format={},media=cdrom,readonly=on",
    "scsi-cd": "-device virtio-scsi-pci -device scsi-cd,drive=d -drive id=d,file={},format={},if=none,readonly=on",
}


def boot(image: Path, kind: str = "raw", drive: str = "virtio", efi: bool = False, arch: str = "amd64") -> str:
    """The console of a machine that boots `image` from a drive until it powers itself off."""
    words = DRIVES[drive].format(image, kind).split()
    return _console([image], [*words, *(EFI_MACHINE[arch] if efi else [])], efi, arch)


def boot_kernel(kernel: Path, initrd: Path, cmdline: Path, *more: str, arch: str = "amd64") -> str:
    """The console of a machine that is handed a kernel and its initrd."""
    words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text(), *more]
    others = [Path(word.partition("file=")[2].partition(",")[0]) for word in more if "file=" in word]
    return _console([kernel, initrd, cmdline, *others], words, False, arch)


def boot_network(files: list[Path], arch: str, efi: bool, ipxe: bool) -> str:
    """The console of a machine that gets the first of `files` from the network: DHCP says its name, TFTP brings it.

    ipxe: whether the network card's ROM does that (QEMU's have iPXE), or UEFI itself.
    """
    card = "virtio-net-pci,netdev=net" + ("" if ipxe else ",romfile=")
    words = ["-netdev", f"user,id=net,tftp=.,bootfile={files[0].name}", "-device", card]
    return _console(files, [*words, *(EFI_MACHINE[arch] if efi else [])], efi, arch)


def boot_raspberry(card: Path, u_boot: Path) -> str:
    """The console of a Raspberry Pi 3 whose firmware has started U-Boot, up to the node's line: it has no switch."""
    emulator = EMULATORS["arm64"]
    words = [*RASPBERRY, "-kernel", str(u_boot), "-drive", f"if=sd,format=raw,snapshot=on,file={card}"]
    qemu = need(emulator.program, emulator.package)
    return _once([u_boot, card], " ".join(words), "", lambda: _watch([qemu, *words]))


def _console(inputs: list[Path], words: list[str], efi: bool, arch: str) -> str:
    emulator = EMULATORS[arch]
    words = [*emulator.machine, *words]

    def run() -> str:
        qemu = need(emulator.program, emulator.package)
        return _run([qemu, *PLAIN, *words, *(_firmware(emulator, inputs[0].parent) if efi else [])], inputs[0].parent)

    return _once(inputs, " ".join(words), f"{efi} {PLAIN}", run)


def _once(inputs: list[Path], settings: str, more: str, run: Callable[[], str]) -> str:
    """What `run` returns, remembered for the bytes of `inputs` and the settings, once the node came up."""
    key = hashlib.sha256()
    for path in inputs:
        with path.open("rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
        settings = settings.replace(str(path), path.name)
    key.update(f"{settings} {more}".encode())
    kept = cache() / "boots" / key.hexdigest()
    if not kept.exists():
        console = run()
        if UP not in console:
            return console
        kept.parent.mkdir(exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_text(console)
        partial.rename(kept)
    return kept.read_text()


def _firmware(emulator: Emulator, folder: Path) -> list[str]:
    variables = folder / "variables.fd"
    shutil.copy(need(emulator.variables, emulator.firmware_package), variables)
    program = need(emulator.firmware, emulator.firmware_package)
    return [
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={program}",
        "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
    ]  # fmt: skip


def _run(command: list[str], folder: Path) -> str:
    """Returns the console of a machine that powers itself off."""
    return _console_of(command, folder, lambda line: False)


def _watch(command: list[str]) -> str:
    """Returns the console of a machine up to the line that says that the node is up; then the machine is ended."""
    return _console_of(command, None, lambda line: UP in line)


def _console_of(command: list[str], folder: Path | None, enough: Callable[[str], bool]) -> str:
    """Runs a machine until it ends or a line of its console is `enough`. AssertionError with the console's end if it
    fails, or is not done within LONGEST_BOOT."""
    console, stopped, seconds = "", False, patience.seconds(LONGEST_BOOT)
    with TemporaryFile() as errors, _running(command, folder, errors) as process:
        limit = Timer(seconds, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                console += line.decode(errors="replace")
                if stopped := enough(line.decode(errors="replace")):
                    break
            code = 0 if stopped else process.wait()
        finally:
            limit.cancel()
        errors.seek(0)
        end = f"{errors.read().decode(errors='replace')}\nlast on the console:\n{console[-CONSOLE_END:]}"
    assert code != -SIGKILL, f"{command[0]} had not ended after {seconds:.0f} s; {end}"
    assert code == 0, f"{command[0]} gave {code}: {end}"
    return console


@contextmanager
def _running(command: list[str], folder: Path | None, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
