"""Warnings of what a format does not carry, while it is written."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.language.problem import warn
from pipeline.model.tree import Entry
from pipeline.writers.carried import Carried

PATH = ("image",)
"""Where the parts of a spec name what their trees come from."""


def warn_of(carried: Carried, tree: Mapping[str, Entry]) -> None:
    """Warns of what `tree` has and the structure that `carried` describes has no place for."""
    for _, message, hint in carried.losses(tree):
        warn(PATH, message, hint)
