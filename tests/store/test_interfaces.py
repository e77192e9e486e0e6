"""The null objects: a store without memo and seeds does all work again, with the same result."""

from pipeline.model.digest import Digest
from pipeline.store import Store
from pipeline.store.interfaces import Memo, Seed


def test_a_null_memo_keeps_nothing(store):
    memo = Memo(store)
    memo.put("name", "value")
    assert memo.get("name") is None


def test_a_null_seed_writes_and_hashes_everything(store, tmp_path):
    content = store.content(b"all of it")
    seed = Seed(store, content, tmp_path / "out")
    assert not seed.is_current() and list(seed.runs()) == [(0, content)]
    assert seed.hash(lambda start, count: [b"all of it"[start : start + count]]) == Digest.of(b"all of it")


def test_a_plain_store_exports(tmp_path):
    store = Store(tmp_path / "cache")
    content = store.content(b"x" * 100_000)
    assert store.export(content, tmp_path / "out") == Digest.of(b"x" * 100_000)
    assert (tmp_path / "out").read_bytes() == b"x" * 100_000
