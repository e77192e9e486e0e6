"""Event logs: the one of a booted machine gives its registers; a damaged one is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.node_report import LOG
from pipeline.ondisk import event_log
from tests.inspect import reports

DATA = bytes.fromhex(reports.document()["data"][LOG])


def test_the_replay_of_a_machine_s_log_is_what_its_tpm_has():
    registers = reports.report().registers["sha256"]
    replayed = event_log.replay(event_log.parse(DATA), "sha256")
    assert {*range(8), 9, 11} <= {*replayed}
    assert all(registers[number] == value.hex() for number, value in replayed.items())


def test_the_banks_have_the_same_events():
    events = event_log.parse(DATA)
    assert {*events[0].digests} == {"sha1", "sha256", "sha384", "sha512"}
    assert {len(value) for value in event_log.replay(events, "sha512").values()} == {64}
    with pytest.raises(ValueError, match="no digest for the bank sm3_256"):
        event_log.replay(events, "sm3_256")


def test_the_locality_of_the_start_is_the_first_value():
    locality = event_log.Event(0, event_log.NO_ACTION, {}, event_log.LOCALITY + b"\3")
    assert event_log.replay([locality], "sha256") == {0: bytes(31) + b"\3"}
    assert event_log.replay([locality._replace(data=event_log.LOCALITY)], "sha256") == {}


@pytest.mark.parametrize("size", [0, 1, 31, 32, 60, 80, len(DATA) - 1])
def test_a_log_that_ends_early_is_an_error(size):
    with pytest.raises(ValueError, match="event log"):
        event_log.parse(DATA[:size])


@given(st.integers(0, len(DATA) - 4), st.binary(min_size=1, max_size=4))
def test_a_damaged_log_is_read_or_an_error(at, data):
    try:
        events = event_log.parse(DATA[:at] + data + DATA[at + len(data) :])
        event_log.replay(events, "sha256")
    except ValueError:
        return
    assert len(events) <= event_log.MAX_EVENTS


def test_a_log_of_too_many_events_is_an_error():
    events = event_log.EVENT.pack(pcrIndex=0, eventType=1, count=0) + bytes(4)
    head = DATA[: event_log.HEADER.size + int.from_bytes(DATA[28:32], "little")]
    assert len(event_log.parse(head + events * event_log.MAX_EVENTS)) == event_log.MAX_EVENTS
    with pytest.raises(ValueError, match="more than 10000 events"):
        event_log.parse(head + events * (event_log.MAX_EVENTS + 1))
