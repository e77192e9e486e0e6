"""aws: the disk of raw-bios under the name by which it is uploaded to Amazon's EC2 (VM Import, register-image)."""

from __future__ import annotations

from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages.bootvolume import part
from pipeline.store import Store

NAME = "aws"
VERSION = 1
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".raw",)
DISK = True


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".raw"}."""
    return store.put_tree(files([(".raw", part(store, raw, "-bios.img"))]))
