"""Expected durations follow the last records of a store, and what ran since."""

import os

from pipeline.engine.action import Call
from pipeline.store import record
from pipeline.workers.durations import Durations


def test_the_last_record_of_an_action_counts_else_the_longest_of_its_stage(store):
    result = store.put(b"result")
    for number, (name, seconds) in enumerate([("one", 5.0), ("one", 2.0), ("two", 3.0)]):
        key = f"{9 - number:064d}"  # names of files do not decide which is the last
        store.remember(key, result, {"stage": "module.stage", "name": name, "seconds": seconds})
        os.utime(record.place(store.root, key), (number, number))
    store.remember("a" * 64, result)
    (store.root / "actions/bb").mkdir()
    (store.root / "actions/bb/damaged").write_bytes(b"")
    durations = Durations()

    def expected(name: str, stage: str = "module.stage") -> float | None:
        return durations.expected(store, Call(stage, 1, b"{}", (), name))

    assert [expected(name) for name in ("one", "two", "new")] == [2.0, 3.0, 5.0]
    assert expected("one", "module.other") is None
    durations.add(Call("module.stage", 1, b"{}", (), "one"), 7.0)
    assert [expected(name) for name in ("one", "two", "new")] == [7.0, 3.0, 7.0]
