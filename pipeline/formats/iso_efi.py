"""iso-efi: a CD (El Torito) with an EFI system partition, which holds the node as one program."""

from __future__ import annotations

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages import el_torito
from pipeline.store import Store

VERSION = el_torito.VERSION


def build(store: Store, uki: Digest, label: str | None = None) -> Digest:
    return store.put_tree(files([("-efi.iso", el_torito.write(store, el_torito.efi(store, uki, label), label))]))


FORMAT = Format(
    "iso-efi", build, needs=(Output("uki"),), options=("label",), produces=("-efi.iso",), firmware=Firmware.UEFI,
    drive=Drive(device="cd"),
)  # fmt: skip
