"""Records of actions."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.store import record
from pipeline.store.record import Record

facts = st.dictionaries(st.text(), st.text() | st.integers())


@given(st.binary(), st.integers(0, 1 << 40), facts)
def test_a_record_comes_back_under_its_key_and_no_other(data, size, facts):
    made = Record(Digest.of(data), size, facts)
    assert record.load("k" * 64, made.dump("k" * 64)) == made
    assert record.load("l" * 64, made.dump("k" * 64)) is None


@given(st.integers(0, 300), st.integers(1, 255))
def test_a_damaged_record_is_none(at, change):
    data = bytearray(Record(Digest.of(b""), 1, {"name": "x"}).dump("k"))
    data[at % len(data)] ^= change
    assert record.load("k", bytes(data)) is None and record.load("k", b"") is None


def test_every_record_of_a_store_is_found(store):
    digest = store.put(b"result")
    store.remember("ab" * 32, digest, {"inputs": {"one": "cd" * 32}})
    ((path, found),) = record.every(store.root)
    assert path == record.place(store.root, "ab" * 32)
    assert found.result == digest and found.inputs == ["cd" * 32]
    path.write_bytes(b"damaged")
    assert [each for _, each in record.every(store.root)] == [None]


def test_a_record_is_read_once_while_nobody_writes_to_it(store, monkeypatch):
    digest = store.put(b"result")
    store.remember("ab" * 32, digest)
    assert store.record("ab" * 32).result == digest
    loads = []
    monkeypatch.setattr(record, "load", lambda *arguments: loads.append(arguments))
    assert store.record("ab" * 32).result == digest and not loads
    record.touch(str(record.place(store.root, "ab" * 32)))
    assert store.record("ab" * 32) is None and len(loads) == 1
    store.forget("ab" * 32)
    assert store.record("ab" * 32) is None and len(loads) == 1


def test_only_so_many_records_are_kept_in_memory(store, monkeypatch):
    monkeypatch.setattr(record, "IN_MEMORY", 2)
    digest = store.put(b"result")
    keys = [f"{number}{number}" * 32 for number in range(5)]
    for key in keys:
        store.remember(key, digest)
    assert [store.record(key).result for key in keys * 2] == [digest] * 10
