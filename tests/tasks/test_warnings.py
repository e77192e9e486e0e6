"""Warnings are kept until the end of a build."""

from pipeline.tasks import warnings


def test_each_is_taken_once_and_errors_are_none():
    warnings.taken()
    warnings.heard(["one", "two"])
    warnings.heard(["two", "three"])
    assert warnings.taken(["three"]) == ["one", "two"]
    assert warnings.taken() == []
