"""Warnings are kept until the end of a build."""

from pipeline.tasks import warnings


def test_each_is_taken_once_and_errors_are_none():
    warnings.take()
    warnings.keep(["one", "two"])
    warnings.keep(["two", "three"])
    assert warnings.take(["three"]) == ["one", "two"]
    assert warnings.take() == []
