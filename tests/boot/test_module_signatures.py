"""The modules of the default node: what Debian signed, to the byte, since the kernel loads nothing else."""

from __future__ import annotations

import io
import json
import re
import tarfile

import pytest

from pipeline.model.digest import Digest
from pipeline.store import Store
from tests.judges import need, run
from tests.project import ROOT

pytestmark = pytest.mark.boot

LOCK = ROOT / "specs" / "node.lock"


def module(path: str) -> str:
    """A module's path in its kernel's folder; "" for another file."""
    name = path.rpartition("lib/modules/")[2]
    return name if re.search(r"\.ko(\.[a-z]+)?$", name) else ""


def test_every_module_is_its_package_s_to_the_byte(node):
    """Never stripped, compressed anew or signed anew: the kernel verifies what Debian signed."""
    (package,) = (each for each in json.loads(LOCK.read_text())["packages"]["kernel"]["amd64"]["packages"]
                  if each["name"] != "linux-image-cloud-amd64")  # fmt: skip
    deb = ROOT / "cache" / "blobs" / "sha256" / package["sha256"]
    unpacked = run(need("dpkg-deb", "dpkg"), "--fsys-tarfile", deb, text=False, errors=None).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        theirs = {name: archive.extractfile(each).read() for each in archive if (name := module(each.name))}
    stages = json.loads((node / "manifest.json").read_text())["formats"]["kernel+initrd"]["stages"]
    store = Store(ROOT / "cache")
    tree = store.tree(Digest.parse(stages["modules"]["result"]))
    ours = {name: entry for path, entry in tree.items() if (name := module(path))}
    assert len(ours) > 100
    assert all(store.bytes(entry.content) == theirs[name] for name, entry in ours.items())
