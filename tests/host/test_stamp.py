"""The state of a file, told without reading it."""

import os

from pipeline.host.stamp import DAMAGE, damage_token, settle_mtime, stamp


def test_a_write_changes_the_stamp_even_if_size_and_time_are_set_back(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    settle_mtime(path)
    before, found = stamp(os.stat(path)), os.stat(path)
    assert stamp(os.stat(path)) == before
    path.write_bytes(b"two")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert stamp(os.stat(path)) != before


def test_another_file_of_that_name_has_another_stamp(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    for each in (path, other):
        each.write_bytes(b"same")
    before = stamp(os.stat(path))
    other.replace(path)
    assert stamp(os.stat(path)) != before


def test_a_settled_time_is_odd_for_the_kernel_s_clock(tmp_path):
    path = tmp_path / "a"
    path.touch()
    before = os.stat(path).st_mtime_ns
    settle_mtime(path)
    assert os.stat(path).st_mtime_ns == before + 1


def test_a_store_without_damage_has_an_empty_token(tmp_path):
    assert damage_token(tmp_path) == ""
    (tmp_path / DAMAGE).write_text("token")
    assert damage_token(tmp_path) == "token"
