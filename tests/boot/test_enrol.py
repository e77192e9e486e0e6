"""Keys that are enrolled on a machine: systemd-boot takes the signed changes that `doit keys` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import formats
from pipeline.ondisk import efivars, measured_boot
from pipeline.run import qemu, tpm
from pipeline.stages import initrd
from pipeline.writers.efivars import certificate_list
from tests.boot.machine import once, started
from tests.boot.secure_boot import ENABLED, kept_keys
from tests.formats import node
from tests.judges import need, run
from tests.project import signed

pytestmark = [pytest.mark.boot, pytest.mark.slow]
INIT = signed.INIT.replace(b"\n", b"\n/bin/busybox mkdir /sys\n", 1)
LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
SECTORS = 96 << 11
"""Size of the disk, in sectors."""


def program(store, folder: Path) -> Path:
    """A node as an EFI program, unsigned."""
    kernel = node.kernel(store, b"console=ttyS0 panic=-1")
    fragment = initrd.fragment(store, node.rootfs(store, INIT), compress="zstd:3")
    known = node.products(store) | {
        "kernel": lambda: kernel, "initrd": lambda: initrd.initrd(store, kernel, fragment),
    }  # fmt: skip
    return node.output(store, node.make(store, "uki", known), ".efi", folder)


def system_partition(folder: Path, files: dict[str, Path]) -> None:
    """Writes a disk that is a FAT file system with these files, by other people's tools."""
    image = folder / "node-efi.img"
    run(need("mformat", "mtools"), "-C", "-F", "-N", "12345678", "-T", SECTORS, "-i", image, "::")
    folders = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
    for path in sorted(folders):
        run("mmd", "-i", image, f"::{path}")
    for path, source in files.items():
        run("mcopy", "-i", image, source, f"::{path}")


def test_systemd_boot_enrols_the_signed_changes(store, tmp_path):
    keys, emulator = kept_keys(), qemu.EMULATORS["amd64"]
    need(emulator.program, "qemu-system-x86")
    need(emulator.secure, "ovmf")
    need(tpm.PROGRAM)
    programs = {
        "EFI/BOOT/BOOTX64.EFI": node.package("systemd-boot-efi") / LOADER,
        "EFI/Linux/node.efi": program(store, tmp_path),
    }
    files = {f"loader/keys/auto/{name}.auth": keys / f"{name}.auth" for name in ("PK", "KEK", "db")}
    loader = tmp_path / "loader.conf"
    loader.write_text("secure-boot-enroll force\n")
    files["loader/loader.conf"], variables = loader, Path(emulator.variables)
    inputs = [*files.values(), *programs.values(), keys / "db.cer", variables]  # sbsign signs the time, too
    for path, source in programs.items():
        files[path] = tmp_path / Path(path).name
        words = ("--key", keys / "db.key", "--cert", keys / "db.pem", "--output", files[path], source)
        run(need("sbsign", "sbsigntool"), *words)
    system_partition(tmp_path, files)

    def session() -> dict[str, str]:
        words = [word for word in qemu.machine("amd64", "tcg") if word != "-no-reboot"]
        words += ["-nodefaults", "-serial", "stdio"]
        words += qemu.start(formats.find("raw-efi"), tmp_path / "node", "amd64", enrolled=variables)
        with tpm.running("amd64") as chip, started([*words, *chip.words], inherited=chip.inherited) as machine:
            machine.wait_for(node.UP)
            return {"console": machine.console}

    seen = once("enrolled by systemd-boot", inputs, session)["console"]
    certificates = {name: (keys / f"{name}.cer").read_bytes() for name in ("PK", "KEK", "db")}
    contents = {name: certificate_list(certificate) for name, certificate in certificates.items()}
    (entry,) = efivars.signatures(contents["db"])
    expected = measured_boot.pcr7(contents, entry.data)
    assert ENABLED in seen and f"PCR 7 is {expected.hex().upper()}" in seen, seen
