"""iso-bios: a CD (El Torito) with ISOLINUX, the kernel and the initrd."""

from __future__ import annotations

from pipeline.container.cmdline import SYSLINUX
from pipeline.formats import Drive, Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import el_torito
from pipeline.store import Store

VERSION = el_torito.VERSION


def build(store: Store, kernel: Digest, initrd: Digest, syslinux: Digest, label: str | None = None) -> Digest:
    contents = el_torito.bios(store, kernel, initrd, syslinux)
    return store.put_tree(files([(".iso", el_torito.write(store, contents, label))]))


FORMAT = Format(
    "iso-bios", build, needs=("kernel", "initrd", Recipe("syslinux")), options=("label",), produces=(".iso",),
    firmware=Firmware.BIOS, drive=Drive(device="cd"), loaders=(SYSLINUX,),
)  # fmt: skip
