"""A worker runs nothing for another label, and nothing once its code has changed."""

from pipeline.engine.action import Action
from pipeline.workers import label as labels
from pipeline.workers.label import label
from pipeline.workers.parcel import NONE, WORKER, Parcel
from pipeline.workers.worker import Stages
from tests.workers import stages


def parcel(number: int, text: str = "") -> Parcel:
    return Parcel(text or label(), Action("nothing", stages.nothing, {"number": number}).call(()), {})


def test_a_parcel_with_another_label_is_refused(store):
    outcome = Stages(store).run(parcel(1, "nodekiln-000000000000"))
    assert (outcome.failure, outcome.text) == (WORKER, f"its label is {label()}, not nodekiln-000000000000")
    assert not store.root.exists()


def test_a_worker_whose_code_was_replaced_refuses(store, monkeypatch):
    worker = Stages(store)
    assert worker.run(parcel(1)).failure == NONE
    monkeypatch.setattr(labels, "state", lambda: "another")
    outcome = worker.run(parcel(2))
    assert (outcome.failure, outcome.result) == (WORKER, None)
    assert "its code was changed" in outcome.text
