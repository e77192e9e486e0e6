"""Stages that make other bytes by now."""

from pipeline.engine.action import Action
from pipeline.inspect.versions import changed

VERSION = 2


def stage(store):
    raise AssertionError


def test_a_stage_of_another_version_is_named():
    action = Action("top", stage, {}, (Action("below", stage),))
    assert list(changed({"stages": {"top": {"version": "2"}, "below": {"version": "2"}}}, action)) == []
    assert list(changed({"stages": {"top": {"version": "1"}}}, action)) == [
        f"top: made by version 1 of {__name__}, which is 2 by now"
    ]
    assert list(changed({}, action)) == []
