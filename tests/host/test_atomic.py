"""Files under predictable names: whole or not there, and never through a symlink."""

import os

import pytest

from pipeline.host import atomic


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    for text in ("one", "two"):
        atomic.write(tmp_path / "a", text)
        assert (tmp_path / "a").read_text() == text
    assert os.listdir(tmp_path) == ["a"]


def test_a_write_replaces_a_symlink_and_not_its_target(tmp_path):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "a").symlink_to("target")
    atomic.write(tmp_path / "a", b"new")
    assert not (tmp_path / "a").is_symlink() and (tmp_path / "target").read_text() == "mine"


def test_a_write_that_fails_leaves_the_old_file_and_no_partial_one(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        atomic.write(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").is_dir()


@pytest.mark.parametrize("opened", [atomic.open_existing, atomic.open_append])
def test_neither_a_symlink_nor_a_second_name_is_opened(tmp_path, opened):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to("target")
    os.link(tmp_path / "target", tmp_path / "second")
    with pytest.raises(atomic.SymlinkOnPath, match="is a symlink, which is not followed: remove it"):
        opened(tmp_path / "link")
    with pytest.raises(atomic.ForeignFile, match="hard links"):
        opened(tmp_path / "second")


def test_a_new_file_takes_a_name_that_nothing_has(tmp_path):
    with atomic.create(tmp_path / "a") as file:
        file.write(b"x")
    with pytest.raises(FileExistsError):
        atomic.create(tmp_path / "a")
    with atomic.recreate(tmp_path / "a") as file:
        assert file.read() == b""


def test_a_folder_is_made_below_the_root_and_not_behind_a_symlink(tmp_path):
    assert atomic.make_folder(tmp_path, "a", "b/c") == tmp_path / "a/b/c"
    (tmp_path / "a/link").symlink_to(tmp_path)
    with pytest.raises(atomic.SymlinkOnPath):
        atomic.make_folder(tmp_path, "a/link/d")
    assert not (tmp_path / "d").exists()


def test_files_in_subfolders_are_those_of_real_folders(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").touch()
    (tmp_path / "link").symlink_to("real")
    assert atomic.files_in_subfolders(tmp_path) == [tmp_path / "real/file"]
    assert list(atomic.symlinks(tmp_path)) == [tmp_path / "link"]
    assert atomic.files_in_subfolders(tmp_path / "missing") == [] == list(atomic.symlinks(tmp_path / "missing"))
