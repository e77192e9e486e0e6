"""The memo: a value is found under its name until its file is damaged. Verified blobs are not hashed again."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incremental import open_store
from pipeline.store.verified import SMALL


@given(st.text(max_size=20), st.text(max_size=40), st.integers(0), st.integers(0, 7))
def test_a_value_is_kept_until_its_file_is_damaged(tmp_path_factory, name, value, place, bit):
    memo = open_store(tmp_path_factory.mktemp("store")).memo
    assert memo.get(name) is None
    memo.put(name, value)
    assert memo.get(name) == value and memo.get(name + "x") is None
    path = memo.path(name)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    assert memo.get(name) is None
    path.write_bytes(data[: place % len(data)])
    assert memo.get(name) is None


def test_a_blob_is_hashed_once_while_nobody_writes_to_it(tmp_path, monkeypatch):
    blob = open_store(tmp_path).put(bytes(SMALL + 1))
    monkeypatch.setattr("hashlib.file_digest", None)  # it was hashed when it was written
    open_store(tmp_path).open(blob).close()
    os.utime(open_store(tmp_path).path(blob))
    with pytest.raises(TypeError):
        open_store(tmp_path).open(blob)
