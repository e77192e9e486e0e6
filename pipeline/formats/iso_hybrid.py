"""iso-hybrid: an image for a CD or a USB stick."""

from __future__ import annotations

from pipeline.container.cmdline import SYSLINUX
from pipeline.formats import Drive, Firmware, Format, Output, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import boot_partition, el_torito
from pipeline.store import Store
from pipeline.writers import isolinux

VERSION = el_torito.VERSION


def build(
    store: Store, kernel: Digest, initrd: Digest, uki: Digest, syslinux: Digest, label: str | None = None
) -> Digest:
    """Tree {"-hybrid.iso"}, which holds the kernel and the initrd twice: each firmware has its own way to load them."""
    contents = el_torito.bios(store, kernel, initrd, syslinux) | el_torito.efi(store, uki, label)
    code = store.bytes(boot_partition.required_file(store, syslinux, isolinux.HYBRID_SOURCE))
    return store.put_tree(files([("-hybrid.iso", el_torito.write(store, contents, label, code))]))


FORMAT = Format(
    "iso-hybrid", build, needs=("kernel", "initrd", Output("uki"), Recipe("syslinux")), options=("label",),
    produces=("-hybrid.iso",), firmware=Firmware.EITHER, drive=Drive(device="cd"), loaders=(SYSLINUX,),
)  # fmt: skip
