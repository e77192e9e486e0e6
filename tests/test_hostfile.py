"""A host file's sum is its sha256, remembered or not."""

import hashlib

import pytest

from pipeline import hostfile


@pytest.mark.parametrize("size", [0, 1000, hostfile.LARGE, hostfile.LARGE + 1])
def test_the_sum_is_the_sha256_first_and_again_and_after_a_change(size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    for data in (bytes(size), b"x" * size):
        path.write_bytes(data)
        for _ in range(2):
            assert hostfile.sha256(path) == hashlib.sha256(data).hexdigest()
    assert hostfile.MEMORY.exists() == (size >= hostfile.LARGE)


def test_a_broken_memory_is_no_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    hostfile.MEMORY.write_text("{")
    path = tmp_path / "file"
    path.write_bytes(bytes(hostfile.LARGE))
    assert hostfile.sha256(path) == hashlib.sha256(bytes(hostfile.LARGE)).hexdigest()
