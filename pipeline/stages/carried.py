"""Warnings of attributes that a format cannot store."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.language.problem import warn
from pipeline.model.tree import Entry
from pipeline.writers.carried import Carried

PATH = ("image",)
"""Key of a component that names the origin of its tree."""


def warn_of(carried: Carried, tree: Mapping[str, Entry]) -> None:
    """Warns of attributes in `tree` that the structure described by `carried` cannot store."""
    for _, message, hint in carried.losses(tree):
        warn(PATH, message, hint)
