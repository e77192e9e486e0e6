"""What the last build did, task by task."""

import pytest

from pipeline.tasks import last_run
from pipeline.tasks.last_run import RAN, UP_TO_DATE, Event


def test_later_runs_are_written_over_earlier_ones(tmp_path):
    folder = tmp_path / "build"
    last_run.write(folder, {"a": Event(RAN, 1.5), "b": Event(RAN, 2.0)})
    last_run.write(folder, {"b": Event(UP_TO_DATE, 0.0)})
    assert last_run.read(folder) == {"a": Event(RAN, 1.5), "b": Event(UP_TO_DATE, 0.0)}


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"a": 1}', '{"a": ["ran"]}', '{"a": ["made up", 1.0]}', '{"a": ["ran", "x"]}']
)
def test_what_cannot_be_read_is_nothing(tmp_path, text):
    (tmp_path / last_run.NAME).write_text(text)
    assert last_run.read(tmp_path) == {} and last_run.read(tmp_path / "missing") == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    last_run.write(tmp_path / "file", {"a": Event(RAN, 1.0)})
