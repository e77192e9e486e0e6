"""Every example builds, from a lock of its own."""

import shutil

import pytest

from tests.project import ROOT, declare, doit

EXAMPLES = sorted((ROOT / "examples").glob("*.yml"))


@pytest.mark.network
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_builds(example, tmp_path):
    (tmp_path / "specs").mkdir()
    shutil.copy(example, tmp_path / "specs")
    declare(tmp_path)
    (tmp_path / "images").symlink_to(ROOT / "images")
    doit(f"build:{example.stem}", cwd=tmp_path, NODEKILN_CACHE=str(ROOT / "cache"))
    assert (tmp_path / "build" / example.stem / f"{example.stem}-initrd.img").stat().st_size > 1 << 20
    assert (tmp_path / "specs" / f"{example.stem}.lock").exists()
