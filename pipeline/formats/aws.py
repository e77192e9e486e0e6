"""aws: the disk of raw-bios under the name that Amazon EC2 imports (VM Import, register-image)."""

from __future__ import annotations

from pipeline.formats import Drive, Firmware, Format, Output
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store

VERSION = 1


def build(store: Store, raw: Digest) -> Digest:
    return store.put_tree(files([(".raw", required_file(store, raw, "-bios.img"))]))


FORMAT = Format(
    "aws", build, needs=(Output("raw-bios"),), options=(), produces=(".raw",), firmware=Firmware.BIOS, drive=Drive()
)
