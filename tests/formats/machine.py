"""A virtual machine that boots an image, once: what it said on its console is kept under the image's hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.formats.node import UP, cache
from tests.judges import need

LONGEST_BOOT = 300
"""Seconds after which a machine that has not powered off is ended; the slowest takes 10 where nothing else runs."""
FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
PLAIN = ("-accel", "tcg", "-m", "512", "-nographic", "-no-reboot", "-net", "none")
DRIVES = {
    "virtio": "-drive file={},format={},if=virtio,snapshot=on",
    "ide": "-drive file={},format={},if=ide,snapshot=on",
    "sata": "-device ahci,id=s -device ide-hd,drive=d,bus=s.0 -drive id=d,file={},format={},if=none,snapshot=on",
    "usb": "-device qemu-xhci -device usb-storage,drive=d -drive id=d,file={},format={},if=none,snapshot=on",
    "cd": "-drive file={},format={},media=cdrom,readonly=on",
}


def boot(image: Path, kind: str = "raw", drive: str = "virtio", efi: bool = False) -> str:
    """The console of a machine that boots `image` from a drive until it powers itself off."""
    words = DRIVES[drive].format(image, kind).split()
    return _console([image], [*words, *(["-machine", "q35"] if efi else [])], efi)


def boot_kernel(kernel: Path, initrd: Path, cmdline: Path, *more: str) -> str:
    """The console of a machine that is handed a kernel and its initrd."""
    words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text(), *more]
    others = [Path(word.partition("file=")[2].partition(",")[0]) for word in more if "file=" in word]
    return _console([kernel, initrd, cmdline, *others], words, efi=False)


def _console(inputs: list[Path], words: list[str], efi: bool) -> str:
    qemu = need("qemu-system-x86_64", "qemu-system-x86")
    key = hashlib.sha256()
    for path in inputs:
        with path.open("rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
    settings = " ".join(words)
    for path in inputs:
        settings = settings.replace(str(path), path.name)
    key.update(f"{settings} {efi} {PLAIN}".encode())
    kept = cache() / "boots" / key.hexdigest()
    if not kept.exists():
        console = _run([qemu, *PLAIN, *words, *(_firmware(inputs[0].parent) if efi else [])])
        if UP not in console:
            return console
        kept.parent.mkdir(exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_text(console)
        partial.rename(kept)
    return kept.read_text()


def _firmware(folder: Path) -> list[str]:
    variables = folder / "variables.fd"
    shutil.copy(need(VARIABLES, "ovmf"), variables)
    return [
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={need(FIRMWARE, 'ovmf')}",
        "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
    ]  # fmt: skip


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_BOOT)
    console = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command[0]} gave {done.returncode}: {done.stderr.decode()} {console[-2000:]}"
    return console
