"""aws: the disk of raw-bios under the name by which it is uploaded to Amazon's EC2 (VM Import, register-image)."""

from __future__ import annotations

from pipeline.digest import Digest
from pipeline.stages.bootvolume import part
from pipeline.store import Store
from pipeline.tree import files

NAME = "aws"
VERSION = 1
NEEDS = ("raw-bios",)
OPTIONS = ()
SUFFIXES = (".raw",)
DISK = True


def build(store: Store, raw: Digest) -> Digest:
    """Tree {".raw"}."""
    return store.put_tree(files([(".raw", part(store, raw, "-bios.img"))]))
