"""vhdx: the disk of raw-efi as a dynamic VHDX, for Hyper-V's second generation of machines.

Those boot by UEFI and from nothing but VHDX (their first generation, by BIOS, takes dynamic-vhd), so it is raw-efi's
disk and not raw-hybrid's, which would hold the kernel and the initrd twice. Unless
build.sign has it signed, Secure Boot is to be switched off in the machine's settings.
"""

from __future__ import annotations

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.stages.diskimage import converted
from pipeline.store import Store
from pipeline.writers import disk, vhdx

VERSION = vhdx.VERSION


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".vhdx"}; its blocks refer to the raw disk."""
    return converted(store, raw, ".vhdx", lambda raw, out: vhdx.write(raw, out, disk.identity))


FORMAT = Format(
    "vhdx", build, needs=(Output("raw-efi"),), options=(), produces=(".vhdx",), firmware=Firmware.UEFI,
    drive=Drive("vhdx"),
)  # fmt: skip
