"""The same trees and documents as LinuxKit's own, for every case.

With `build.compat: linuxkit` nothing may differ: no time stamp, no mode, no byte of a document. Without it, only what
docs/explanation/linuxkit.md lists.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.container import linuxkit_compat
from pipeline.model.errors import BadInput
from pipeline.model.tree import EPOCH
from pipeline.planning.load import load
from pipeline.store import Store
from tests.conformance import corpus
from tests.conformance.trees import Images, root, row

CASES = corpus.cases("spec.yml")
BUILT = [case for case in CASES if not (case / "error.txt").exists()]
DEVIATIONS = {
    "uidMappings and gidMappings keep their ids": re.compile(r"\.linux\.[ug]idMappings\[\d+\]\.(host|container)ID"),
    "a volume in mounts: is resolved": re.compile(r"\.mounts\[\d+\]\.source"),
    "containers have a sandbox": re.compile(r"\.linux\.(maskedPaths|readonlyPaths|seccomp)|\.process\.noNewPrivileges"),
}
"""What a document may differ in without `compat`, by the name that docs/explanation/linuxkit.md gives it."""
NOT_OURS = re.compile(r"sbom.*")
"""LinuxKit's list of packages is written by another part of the program, in another place."""


@pytest.fixture(scope="module")
def store(session_store: Store) -> Store:
    return session_store


@pytest.fixture
def images(store: Store, layout: Path) -> Images:
    return Images(store, layout)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, and a home with a key, as the cases expect."""
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.ssh/id_rsa.pub").write_text("ssh-rsa AAAAconformance key\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def built(store: Store, images: Images, place: Path, case: Path, epoch: int) -> dict[str, dict[str, Any]]:
    """Path -> row of what the spec comes to; documents are parsed."""
    shutil.copytree(case, place, dirs_exist_ok=True)
    loaded = load(Path("spec.yml"))
    tree = root(store, loaded, images, linuxkit_compat.MTIME if loaded.build.compat else epoch)
    return {path: row(store, path, entry) for path, entry in tree.items() if path and not NOT_OURS.fullmatch(path)}


def expected(case: Path) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, (case / "tree.jsonl").read_text().splitlines())
    return {each["path"]: each for each in rows if not NOT_OURS.fullmatch(each["path"])}


@corpus.each(BUILT)
def test_with_compat_nothing_differs(store: Store, images: Images, place: Path, case: Path) -> None:
    (place / "spec.d").mkdir()
    (place / "spec.d/compat.yml").write_text("build: {compat: linuxkit}\n")
    assert built(store, images, place, case, EPOCH) == expected(case)


@corpus.each(BUILT)
def test_without_it_differs_what_is_known_to_be_right(store: Store, images: Images, place: Path, case: Path) -> None:
    found, wanted = built(store, images, place, case, linuxkit_compat.MTIME), expected(case)
    assert found.keys() == wanted.keys()
    documents = json.loads((case / "bundles.json").read_text())
    files = {above for entry in load(Path("spec.yml"))["files"] for above in above_all(entry.path)}
    for path, entry in found.items():
        if path in files:
            continue
        if path in documents and entry != wanted[path]:
            text = store.bytes(root(store, load(Path("spec.yml")), images)[path].content)  # type: ignore[union-attr]
            for place_in_it in differences(documents[path], json.loads(text)):
                assert any(known.fullmatch(place_in_it) for known in DEVIATIONS.values()), place_in_it
        else:
            assert entry == wanted[path]


@corpus.each(corpus.cases("error.txt"))
def test_what_linuxkit_refuses_is_refused_at_a_line(store: Store, images: Images, place: Path, case: Path) -> None:
    with pytest.raises(BadInput, match=r"spec\.yml:\d+:\d+: "):
        built(store, images, place, case, EPOCH)


def above_all(path: str) -> Iterator[str]:
    steps = path.strip("/").split("/")
    return ("/".join(steps[:end]) for end in range(1, len(steps)))


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif one != other:
        yield path
