"""Every error of nodekiln's own that is about input ends a command with the code 3; all others with 1."""

import pkgutil
from importlib import import_module

import pipeline
from pipeline.model.errors import BadInput, NodekilnError


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_errors_have_a_text_for_people():
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    kinds = set(subclasses(NodekilnError))
    assert len(kinds) > 10 and {BadInput} < kinds
    assert all(kind.__doc__ for kind in kinds if kind.__module__.startswith("pipeline."))
