"""Stages in a few words for a person."""

from importlib import import_module

import pytest

from pipeline.engine.action import Action
from pipeline.stages import initrd
from pipeline.tasks.steps import STEPS, described


@pytest.mark.parametrize("name", [name for name in STEPS if name != "formats"])
def test_every_name_is_a_stage(name):
    module, _, function = f"pipeline.{name}".rpartition(".")
    assert callable(getattr(import_module(module), function))


def test_a_stage_without_words_has_those_of_its_docstring():
    def stage(store):
        """Does a thing.

        And more.
        """

    assert described(Action("x", stage)) == "Does a thing."
    assert described(Action("x", initrd.initrd)) == STEPS["stages.initrd.initrd"]
