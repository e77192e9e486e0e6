"""Warnings of a build's stages, kept until its end, where people read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_kept: dict[str, None] = {}


def keep(texts: Iterable[str]) -> None:
    """Keeps `texts` for the end of the build. Any thread may call it."""
    _kept.update(dict.fromkeys(texts))


def take(errors: Collection[str] = ()) -> list[str]:
    """Returns what was kept since the last call, each text once, without those in `errors`."""
    warned = [text for text in _kept if text not in errors]
    _kept.clear()
    return warned
