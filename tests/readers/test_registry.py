"""Every reader is registered, once, by the module that has it."""

import importlib
from pathlib import Path

import pytest

from pipeline import readers
from pipeline.readers.view import BytesView

MODULES = sorted(path.stem for path in Path(readers.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_recognises_a_structure_registers_it(name):
    module = importlib.import_module(f"pipeline.readers.{name}")
    own = [reader for reader in readers.readers() if reader.read.__module__ == module.__name__]
    assert own == ([module.READER] if hasattr(module, "recognises") else [])


def test_structures_have_names_of_their_own():
    names = [reader.name for reader in readers.readers()]
    assert len(set(names)) == len(names)


def test_nothing_is_no_structure():
    assert readers.look_into(BytesView(b"")) is None
