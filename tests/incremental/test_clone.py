"""Clones: on a file system that can, equal outputs share their blocks; they are files of their own everywhere."""

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.incremental import open_store
from pipeline.incremental.clone import clone
from pipeline.incremental.seed import CLONED
from pipeline.model.digest import Digest
from pipeline.store import Missing
from tests import judges

SIZE = 8 << 20
"""Size of the content that is exported, in bytes."""
MAKERS = {
    "xfs": ("xfsprogs", ["-q", "-m", "reflink=1"], 400 << 20),
    "btrfs": ("btrfs-progs", ["-q"], 160 << 20),
}
"""File system -> Debian package of its mkfs, options, size of the image in bytes."""


@pytest.fixture(params=MAKERS)
def disk(request, tmp_path):
    """A folder on a new file system that can share blocks."""
    package, options, size = MAKERS[request.param]
    image, folder = tmp_path / "disk", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(size)
    judges.run(judges.need(f"mkfs.{request.param}", package), *options, image)
    folder.mkdir()
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no images: {mounted.stderr.strip()}")
    yield folder
    judges.run("umount", "--lazy", folder)  # a store that a failed test shows has files open


def content(store):
    data = os.urandom(SIZE)
    return store.content(data), data


def used(folder: Path) -> int:
    """Bytes that the file system of `folder` has given away, once all is written."""
    os.sync()
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_bsize


@judges.needs_root
def test_equal_outputs_share_blocks_and_are_files_of_their_own(disk):
    store = open_store(disk / "cache")
    wanted, data = content(store)
    first, *others = paths = [disk / f"n{number}-kernel" for number in range(10)]
    store.export(wanted, first)
    before = used(disk)
    assert {store.export(wanted, path) for path in others} == {Digest.of(data)}
    assert used(disk) - before < SIZE, "nine more files take less than one"
    assert len({path.stat().st_ino for path in paths}) == 10 and {path.stat().st_nlink for path in paths} == {1}
    others[0].write_bytes(b"a machine wrote into it")
    assert [path.read_bytes() == data for path in paths] == [True, False, *[True] * 8]


@judges.needs_root
def test_a_shared_output_is_not_read(disk):
    store = open_store(disk / "cache")
    wanted, data = content(store)
    store.export(wanted, disk / "n0")
    store.path(wanted[0].blob).unlink()
    store = open_store(disk / "cache")  # which has nothing open
    assert store.export(wanted, disk / "n1") == Digest.of(data)
    assert (disk / "n1").read_bytes() == data
    (disk / "n0").write_bytes(data[1:])
    (disk / "n1").unlink()
    with pytest.raises(Missing):
        store.export(wanted, disk / "n2")


@judges.needs_root
def test_an_output_that_was_written_to_is_no_source(disk):
    store = open_store(disk / "cache")
    wanted, data = content(store)
    store.export(wanted, disk / "n0")
    with (disk / "n0").open("r+b") as file:
        file.write(b"a machine wrote into it")
    assert store.export(wanted, disk / "n1") == Digest.of(data)
    assert (disk / "n1").read_bytes() == data
    before = used(disk)
    store.export(wanted, disk / "n2")
    assert used(disk) - before < SIZE // 2, "the newest whole one is the source"


def test_where_blocks_cannot_be_shared_they_are_copied(tmp_path):
    store = open_store(tmp_path / "cache")
    wanted, data = content(store)
    for name in ("n0", "n1", "n1"):
        assert store.export(wanted, tmp_path / name) == Digest.of(data)
        assert (tmp_path / name).read_bytes() == data and (tmp_path / name).stat().st_nlink == 1


def test_a_clone_that_fails_leaves_an_empty_file(tmp_path):
    with (tmp_path / "new").open("wb") as file:
        assert not clone(tmp_path / "missing", file.fileno())
        assert not clone(Path("/proc/self/status"), file.fileno())
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with (tmp_path / "other").open("wb") as file:
        assert not clone(tmp_path / "link", file.fileno())
    assert (tmp_path / "new").read_bytes() == (tmp_path / "other").read_bytes() == b""
    assert CLONED < SIZE
