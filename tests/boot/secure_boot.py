"""Machines whose firmware has keys for Secure Boot, and a TPM."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline import formats
from pipeline.ondisk import x509
from pipeline.project import signing_keys
from pipeline.run import qemu, tpm
from pipeline.writers import efivars
from tests.boot.machine import once, started
from tests.formats import node
from tests.judges import alone, need

DENIED = "Access Denied"
ENABLED = "secureboot: Secure boot enabled"

Change = Callable[[bytes, bytes], bytes]
"""A flash without keys, and a certificate (DER) -> a flash."""


def kept_keys() -> Path:
    """Returns a folder with keys that stay, so that what is remembered of boots still fits."""
    folder = node.cache() / "secure-boot-keys"
    with alone("secure-boot"):
        if not (folder / "db.auth").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            signing_keys.create_all(folder, "test")
    return folder


def enrolled(flash: bytes, certificate: bytes) -> bytes:
    """Returns the flash with the certificate as PK, KEK and db."""
    return efivars.enrol(flash, dict.fromkeys(("PK", "KEK", "db"), efivars.certificate_list(certificate)))


def console(disk: Path, name: str, sight: str, arch: str = "amd64", firmware: Change = enrolled) -> str:
    """Boots `disk`, of the format `name`, with Secure Boot and a TPM until `sight` is on the console.

    firmware: what becomes of its variables before. Returns the console.
    """
    emulator, form, folder = qemu.EMULATORS[arch], formats.find(name), disk.parent
    program, *packages = emulator.packages.split()
    need(emulator.program, program)
    need(emulator.secure, packages[0])
    need(tpm.PROGRAM)
    certificate = x509.from_file((kept_keys() / "db.cer").read_bytes()).encoding
    variables = folder / "variables"
    variables.write_bytes(firmware(Path(emulator.variables).read_bytes(), certificate))
    disk = disk.rename(folder / f"node{form.produces[0]}")

    def session() -> dict[str, str]:
        # -nodefaults: without an empty CD drive, from which the firmware would try, and measure, a start
        words = [*qemu.machine(arch, "tcg"), "-nodefaults", "-serial", "stdio"]
        words += qemu.start(form, folder / "node", arch, enrolled=variables)
        with tpm.running(arch) as chip, started([*words, *chip.words], inherited=chip.inherited) as machine:
            machine.wait_for(sight)
            return {"console": machine.console}

    return once(f"secure boot {arch} {sight}", [disk, variables], session)["console"]
