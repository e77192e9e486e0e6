"""Warnings of what a format does not carry."""

from pipeline.language.problem import collect_warnings
from pipeline.model.tree import File, Tree, complete
from pipeline.stages.carried import PATH, warn_of
from pipeline.writers import cpio


def test_an_attribute_that_is_lost_is_warned_of_at_the_image():
    tree = complete(Tree({"bin/ping": File(0o755, 0, 0, 0, (("security.capability", b"x"),))}))
    with collect_warnings() as warnings:
        warn_of(cpio.CARRIED, tree)
        warn_of(cpio.CARRIED, complete(Tree({"a": File(0o644, 0, 0, 0)})))
    (warning,) = warnings
    assert warning.path == PATH and "security.capability" in warning.message
