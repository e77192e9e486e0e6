"""Every hostile image, through the real stages, beside a good image whose place in the store must not change."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.oci.error import Refused
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store, StoreError
from tests.attacks.corpus import CORPUS
from tests.oci import craft

MEMORY = 2 << 30
"""Bytes of address space for the whole corpus, its making included: a bomb is 600 MiB before it is packed."""
SECONDS = 120
"""Of CPU time, for the same."""


def state(store: Store) -> dict[str, bytes]:
    """Everything in the store but its locks: name -> content."""
    files = (path for path in store.root.rglob("*") if path.is_file() and path.parent.name not in ("locks", "sums"))
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files if path.suffix != ".lock"}


def check(name: str, folder: Path) -> None:
    """One attack: contained or refused as the corpus says, and nothing harmed."""
    attack, layout, store = CORPUS[name], folder / "layout", Store(folder / "store")
    probe = folder / "probe"
    probe.write_text("untouched")
    good = craft.image(folder / "good", [craft.archive(craft.entry("good"))])
    tree = unpack(store, pull(store, reference=f"oci:{folder}/good", manifest=good))
    image = attack.build(layout)
    before, outside = state(store), sorted(path for path in folder.rglob("*") if folder / "store" not in path.parents)
    if attack.refused:
        with pytest.raises((Refused, StoreError)) as caught:
            unpack(store, pull(store, reference=f"oci:{layout}", manifest=image))
        said = str(caught.value)
        assert re.search(attack.refused, said), said
        assert len(said) < 4000 and said.isprintable()
        assert "sha256:" in said or "layout" in said
    else:
        result = store.tree(unpack(store, pull(store, reference=f"oci:{layout}", manifest=image)))
        assert not any(path.startswith("/") or ".." in path.split("/") for path in result)
        assert not attack.paths or tuple(result) == tuple(sorted(attack.paths))
    after = state(store)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path.startswith("tmp/")]
    assert sorted(path for path in folder.rglob("*") if folder / "store" not in path.parents) == outside
    assert probe.read_text() == "untouched" and list(Store(folder / "store").tree(tree)) == ["good"]


@pytest.mark.parametrize("name", CORPUS)
def test_it_is_contained_or_refused(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def test_all_of_it_takes_bounded_memory_and_time(tmp_path: Path) -> None:
    """Once more in a process of its own, which the kernel ends if it takes too much of either."""
    program = (
        "import resource, sys, tempfile, pathlib\n"
        "from tests.attacks import corpus, test_corpus\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (test_corpus.SECONDS,) * 2)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (test_corpus.MEMORY,) * 2)\n"
        "for name in corpus.CORPUS:\n"
        "    with tempfile.TemporaryDirectory() as folder: test_corpus.check(name, pathlib.Path(folder))\n"
        "print('done')\n"
    )
    # Each thread would reserve 64 MiB of addresses, used or not.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout == "done\n", done.stderr[-3000:]


def test_the_rows_are_covered() -> None:
    covered = {row for attack in CORPUS.values() for row in attack.rows}
    assert covered >= {*range(1, 21), 23, 24, 27, 30, 32, 37, 38}
