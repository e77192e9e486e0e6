"""Build every format of the test node in a new store and print the files' digests: `everything.py FOLDER [UID]`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from pipeline import formats
from pipeline.digest import Digest
from pipeline.store import Store
from pipeline.tree import File
from tests.formats import node


def main(folder: str, uid: str = "") -> None:
    store = Store(Path(folder))
    known = {name: make() for name, make in node.products(store).items()}
    if uid:
        digests_of_all(store, known)  # loads every module: the interpreter may be in a folder that is root's
        for place, _, names in os.walk(folder):
            for name in (".", *names):
                os.chown(os.path.join(place, name), int(uid), int(uid))
        os.setgid(int(uid))
        os.setuid(int(uid))
    json.dump(digests_of_all(store, known), sys.stdout)


def digests_of_all(store: Store, known: dict[str, Digest]) -> dict[str, str]:
    """`format suffix` -> sha256 of the file, for every format there is."""
    digests = {}
    for name in formats.names():
        products = {name: lambda digest=digest: digest for name, digest in known.items()}
        for suffix, entry in store.tree(node.make(store, name, products)).items():
            assert type(entry) is File
            digest = hashlib.sha256()
            for data in store.read(entry.content):
                digest.update(data)
            digests[f"{name} {suffix}"] = digest.hexdigest()
    return digests


if __name__ == "__main__":
    main(*sys.argv[1:])
