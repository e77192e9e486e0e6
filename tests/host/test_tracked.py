"""Inputs that were recorded are unchanged as long as looking again gives the same."""

import os

import pytest

from pipeline.host import tracked


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """Notes of one look at each kind of input."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    monkeypatch.setenv("WEATHER", "fair")
    with tracked.record_inputs() as notes:
        tracked.contents(tmp_path / "file")
        tracked.is_file(tmp_path / "missing")
        tracked.real(tmp_path / "link")
        tracked.listing(tmp_path, "k")
        tracked.variable("WEATHER")
        with pytest.raises(FileNotFoundError):
            tracked.contents(tmp_path / "missing")
    return notes


CHANGES = {
    "contents": lambda place: (place / "file").write_text("other"),
    "a file that was missing": lambda place: (place / "missing").touch(),
    "where a link leads": lambda place: os.replace(place / "link", place / "other"),
    "a listing": lambda place: (place / "bk").touch(),
    "a variable": lambda place: os.environ.update(WEATHER="foul"),
}


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_a_change_of_any_input_is_noticed(notes, tmp_path, change):
    assert len(notes) == 6
    if change:
        CHANGES[change](tmp_path)
    assert tracked.unchanged(notes) == (change is None)


def test_nothing_is_recorded_outside_and_unknown_notes_are_changes(tmp_path):
    with tracked.record_inputs() as notes:
        pass
    tracked.variable("HOME")
    assert notes == [] and tracked.unchanged(notes)
    assert not tracked.unchanged([("os:listdir", [str(tmp_path)], "[]")])
