"""images/disk without a boot: what it does to image files, judged by sgdisk, sfdisk and e2fsck."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.judges import need, run
from tests.project import ROOT

DRIVER = Path(__file__).with_name("volume.lua")
MIB = 1 << 20
LAYOUT = "start=1MiB, size=4MiB, name=boot\nstart=5MiB, size=8MiB, name=data, type=linux\n"


def call(name: str, *words: object):
    """Returns what a function of images/disk/volume.lua returns; ValueError with its error."""
    need("/usr/share/lua/5.3/posix/init.lua", "lua-posix")
    command = [need("lua5.3"), DRIVER, ROOT, name, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return json.loads(done.stdout).get("result")


def table(disk: Path):
    return json.loads(run(need("sfdisk", "fdisk"), "--json", disk).stdout)["partitiontable"]


@pytest.fixture(params=["gpt", "dos"])
def disk(request, tmp_path):
    """A disk of 16 MiB with two partitions, behind which there are 48 MiB that came later."""
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    layout = LAYOUT if request.param == "gpt" else LAYOUT.replace(", name=boot", "").replace(", name=data", "")
    command = [need("sfdisk", "fdisk"), "-q", "-X", request.param, path]
    subprocess.run(command, input=layout, text=True, check=True, capture_output=True)
    with path.open("r+b") as file:
        file.truncate(64 * MIB)
    return path


def test_the_last_partition_grows_to_the_end_and_keeps_all_else(disk):
    before = table(disk)
    assert call("grow_partition", disk, 2) is True
    after = table(disk)
    first, last = after["partitions"]
    assert (after["label"], after["id"], first) == (before["label"], before["id"], before["partitions"][0])
    assert {**last, "size": 0} == {**before["partitions"][1], "size": 0}
    end = (last["start"] + last["size"]) * 512
    assert 64 * MIB - 2 * MIB < end <= 64 * MIB
    assert call("grow_partition", disk, 2) is False
    if after["label"] == "gpt":
        assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", disk).stdout
    else:
        run(need("sfdisk", "fdisk"), "--verify", "-q", disk)


def test_a_partition_that_others_lie_behind_stays(disk):
    before = disk.read_bytes()
    assert call("grow_partition", disk, 1) is False
    assert call("grow_partition", disk, 7) is False
    assert disk.read_bytes() == before


def test_what_has_no_partition_table_is_an_error(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    with pytest.raises(ValueError, match="sfdisk"):
        call("grow_partition", path, 1)


@pytest.fixture
def volume(tmp_path):
    """A function: a file of so many MiB that are zero."""

    def make(size: int) -> Path:
        path = tmp_path / "volume.img"
        with path.open("wb") as file:
            file.truncate(size * MIB)
        return path

    return make


def right(path: Path) -> None:
    run(need("e2fsck", "e2fsprogs"), "-fn", path)


def test_an_empty_volume_gets_a_file_system_with_its_label(volume):
    path = volume(64)
    assert call("content", path) == "empty"
    call("make", path, "data")
    assert call("content", path) == "ext4"
    assert run(need("blkid", "util-linux"), "-p", "-s", "LABEL", "-o", "value", path).stdout == "data\n"
    right(path)
    assert call("filesystem_bytes", path) == 64 * MIB


@pytest.mark.parametrize("offset", [0, 511, 4 * MIB, 40 * MIB - 1], ids=["first", "sector", "inside", "last"])
def test_foreign_data_is_never_written_over(volume, offset):
    path = volume(40)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"x")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="has data, and no ext4: it is left as it is"):
        call("content", path)
    assert path.read_bytes() == before


def test_another_file_system_is_named(volume):
    path = volume(40)
    run(need("mkswap", "util-linux"), "-q", path)
    with pytest.raises(ValueError, match="has swap, and ext4 is expected"):
        call("content", path)


def test_a_file_system_grows_with_its_device_and_keeps_what_it_holds(volume, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "kept").write_text("kept\n")
    path = volume(16)
    run(need("mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-d", folder, path)
    assert call("grow_filesystem", path) is False
    with path.open("r+b") as file:
        file.truncate(80 * MIB)
    run(need("e2fsck", "e2fsprogs"), "-fp", path)  # as resize2fs wants it of a file system that is not mounted
    assert call("grow_filesystem", path) is True
    right(path)
    assert call("filesystem_bytes", path) == 80 * MIB
    assert debugfs(path, "cat /kept") == "kept\n"


def debugfs(path: Path, request: str) -> str:
    return run(need("debugfs", "e2fsprogs"), "-w", "-R", request, path).stdout


def test_a_damaged_file_system_is_repaired_or_refused_and_never_made_again(volume):
    path = volume(16)
    call("make", path, "data")
    assert call("check", path) is False
    debugfs(path, "set_super_value state 0")  # as after a power cut
    debugfs(path, "set_inode_field <2> links_count 9")
    assert call("check", path) is True
    right(path)
    debugfs(path, "set_super_value state 0")
    debugfs(path, "clri <2>")
    assert call("content", path) == "ext4"
    with pytest.raises(ValueError, match=r"must be repaired by hand \(e2fsck\): .*[Rr]oot"):
        call("check", path)


def test_what_lay_under_a_mount_is_made_on_it(tmp_path):
    below, above = tmp_path / "below", tmp_path / "above"
    (below / "lib/x").mkdir(parents=True)
    (below / "tmp").mkdir()
    (below / "tmp").chmod(0o1777)
    (below / "run").symlink_to("/run")
    (below / "file").write_text("left out")
    (above / "lib").mkdir(parents=True, mode=0o700)
    assert [each["path"] for each in call("folders", below)] == ["/lib", "/lib/x", "/run", "/tmp"]
    call("lay", below, above)
    assert (above / "lib/x").is_dir() and (above / "lib").stat().st_mode & 0o7777 == 0o700
    assert (above / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (above / "run").readlink() == Path("/run")
    assert not (above / "file").exists()
