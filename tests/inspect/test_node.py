"""specs/node.yml itself: every condition for three formats, the quick set for all. How many agree is printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline import formats
from pipeline.inspect import conditions
from pipeline.model.errors import BadInput
from pipeline.planning import lock
from pipeline.planning.plan import Plan, plan
from pipeline.project.project import Project
from pipeline.spec import build
from tests.project import ROOT, declare, run_doit

ARCH = build.filled_in(build.Build()).arch[0]
THREE = {"amd64": ("kernel+initrd", "qcow2-bios", "uki"), "arm64": ("kernel+initrd", "raw-efi", "uki")}[ARCH]
PACKED = ("raw-efi.zst", "raw-efi.gz")
"""Compressed disks: two stand for all, which are the same disks."""
pytestmark = [pytest.mark.verify, pytest.mark.network]


def run_verify(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs doit verify in `cwd`, with its own copy of the pipeline."""
    return run_doit("verify:node", *words, cwd=cwd, PYTHONPATH="", NODEKILN_CACHE=str(ROOT / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, whose lock explains every format that this machine's architecture can have."""
    root = tmp_path_factory.mktemp("checkout") / "project"
    for name in ("pipeline", "images", "specs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    declare(root)
    spec = root / "specs/node.yml"
    spec.write_text(re.sub(r"(?m)^  formats: \[", f"  formats: [{', '.join(PACKED)}, ", spec.read_text()))
    known = lock.read(root / "specs/node.lock")
    missing = planned(root).missing(*possible(root))
    lock.write(root / "specs/node.lock", known.updated(lock.resolve(missing)))
    return root


def planned(root: Path) -> Plan:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return plan(Project(root).load("node"), Project(root).lock("node"), ARCH)


def possible(root: Path) -> list[str]:
    """The formats that the node can have."""
    made = planned(root)

    def can_be(name: str) -> bool:
        try:
            made.format(name)
        except BadInput:
            return False
        return True

    overwritten = {one for one, _, _ in formats.clashes(formats.names())}
    return [name for name in (*formats.names(), *PACKED) if can_be(name) and name not in overwritten]


def verified(folder: Path, *words: str) -> dict[str, object]:
    table = folder / "table.json"
    done = run_verify(*words, "--json", str(table), cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(table.read_text())
    return found


@pytest.mark.slow
def test_every_condition_for_three_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verified(folder, "--full", "--formats", ",".join(THREE))
    runs = len(conditions.select(0, True))
    with capsys.disabled():
        print(f"\nspecs/node.yml: {found['agree']} of {found['of']} agree: {runs} conditions × {', '.join(THREE)}")
    assert found["agree"] == found["of"] == 3 * runs


TAMPERING = """


honest = bundle_image


def bundle_image(store, part, *, prefix):
    import os

    tree = Tree(store.tree(honest(store, part, prefix=prefix)))
    for path in [path for path in tree if path.endswith("services/sshd/lower/usr/sbin/sshd")]:
        tree[path] = tree[path]._replace(mtime=len(os.environ["LANG"]))
    return store.put_tree(tree)
"""


def test_what_differs_is_told_in_the_words_of_the_format(folder: Path) -> None:
    """From the disk down to one time stamp in one archive of the initrd of the kernel image."""
    stages = folder / "pipeline/stages/root.py"
    honest = stages.read_text()
    stages.write_text(honest + TAMPERING)
    try:
        done = run_verify("--formats", "raw-efi", "--no-diffoscope", cwd=folder)
    finally:
        stages.write_text(honest)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the first stage that differs: services/sshd/image" in done.stdout
    below = "containers/services/sshd/lower"
    assert re.search(
        rf"-efi\.img → disk → partition 1 → FAT → EFI/BOOT/\w+\.EFI → PE → section \.initrd → archives → archive \d+"
        rf" \({below}\) → cpio → {below}/usr/sbin/sshd → mtime: 7 \| 11",
        done.stdout,
    ), done.stdout


def test_the_quick_set_for_all_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verified(folder, "--formats", "all")
    names = sorted(found["formats"])
    with capsys.disabled():
        print(f"\nspecs/node.yml: {found['agree']} of {found['of']} agree: 2 conditions × {', '.join(names)}")
    assert found["agree"] == found["of"] == 2 * len(names)
    assert names == sorted(possible(folder))
