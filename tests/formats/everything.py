"""Build every format of the test node in a new store and print the files' digests: `everything.py FOLDER [UID]`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from pipeline import formats
from pipeline.incremental import open_store
from pipeline.model.digest import Digest
from pipeline.store import Store
from tests.formats import node

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("raw-efi.zst", {"size": "200M"}),
    ("raw-bios.gz", {}),
    ("qcow2-efi", {"clusters": "zstd:3"}),
    ("raw-hybrid", {"label": "LABEL", "partitions": [
        {}, {"label": "data", "size": "40M", "format": "ext4"}, {"label": "swap", "size": "8M", "format": "swap"},
    ]}),
]  # fmt: skip
"""What the plain formats do not show."""


def main(folder: str, uid: str = "") -> None:
    store = open_store(Path(folder))
    known = {name: make() for name, make in node.products(store).items()}
    known |= {f"rpi3 {name}": make() for name, make in node.raspberry(store).items()}
    if uid:
        digests_of_all(store, known)  # loads every module: the interpreter may be in a folder that is root's
        for place, _, names in os.walk(folder):
            for name in (".", *names):
                os.chown(os.path.join(place, name), int(uid), int(uid))
        os.setgid(int(uid))
        os.setuid(int(uid))
    json.dump(digests_of_all(store, known), sys.stdout)


def digests_of_all(store: Store, known: dict[str, Digest]) -> dict[str, str]:
    """`format suffix` -> sha256 of the file, for every format. known: what they need; `rpi3 …`: what that does,
    which is for another machine."""
    digests = {}
    for name, options in (*((name, {}) for name in formats.names()), *VARIANTS):
        own = {need.removeprefix(f"{name} "): digest for need, digest in known.items() if need.startswith(f"{name} ")}
        products = {need: lambda digest=digest: digest for need, digest in (known | own).items()}
        for suffix, entry in store.tree(node.make(store, name, products, **options)).files().items():
            digest = hashlib.sha256()
            for data in store.read(entry.content):
                digest.update(data)
            digests[f"{name} {suffix} {options or ''}".strip()] = digest.hexdigest()
    return digests


if __name__ == "__main__":
    main(*sys.argv[1:])
