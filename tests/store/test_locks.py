"""Locks and leases end with the process that has them."""

import os
import threading

from pipeline.store import locks


def test_a_lock_is_taken_once_and_leaves_no_file(tmp_path):
    path = tmp_path / "a"
    file = locks.take(path)
    assert locks.take(path, wait=False) is None
    locks.drop(path, file)
    assert not path.exists()
    again = locks.take(path, wait=False)
    assert again is not None
    locks.drop(path, again)


def test_who_waits_gets_the_lock_that_was_removed(tmp_path):
    path, order = tmp_path / "a", []
    file = locks.take(path)

    def wait():
        other = locks.take(path)
        order.append("second")
        locks.drop(path, other)

    thread = threading.Thread(target=wait)
    thread.start()
    order.append("first")
    locks.drop(path, file)
    thread.join()
    assert order == ["first", "second"] and os.listdir(tmp_path) == []


def test_sweeping_removes_what_nobody_holds(tmp_path):
    (tmp_path / "left").touch()
    file = locks.take(tmp_path / "held")
    locks.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["held"]
    locks.drop(tmp_path / "held", file)


def test_files_of_a_lease_go_with_it_and_those_of_others_stay(tmp_path):
    first, second = locks.Lease(tmp_path), locks.Lease(tmp_path)
    mine, theirs = first.name(), second.name()
    assert mine != first.name()
    for path in (mine, theirs):
        path.touch()
    (tmp_path / "kept-x").touch()
    (tmp_path / "123-left.123-0").touch()
    assert len(locks.leases(tmp_path, "kept")) == 2
    assert {mine.name, theirs.name, "kept-x"} < set(os.listdir(tmp_path)) and not (tmp_path / "123-left.123-0").exists()
    first.end()
    assert not mine.exists() and theirs.exists()
    second.end()
    assert os.listdir(tmp_path) == ["kept-x"]
