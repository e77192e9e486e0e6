"""Warnings: what the stages of a build warn of, kept until its end, where it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_heard: dict[str, None] = {}


def heard(texts: Iterable[str]) -> None:
    """Keeps `texts` for the end of the build. Any thread may call it."""
    _heard.update(dict.fromkeys(texts))


def taken(errors: Collection[str] = ()) -> list[str]:
    """Returns what was heard since the last call, each text once, without those that are `errors` as well."""
    found = [text for text in _heard if text not in errors]
    _heard.clear()
    return found
