"""Writes a tree as a tar archive; unchanged sections are memoised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pipeline.incremental import memoized
from pipeline.model.columns import named
from pipeline.model.tree import Entry, Sink, sections
from pipeline.store import Store
from pipeline.writers import tar


def write(store: Store, tree: Mapping[str, Entry], out: Sink) -> None:
    """Writes the bytes of `writers.tar.write`."""
    write_members(store, tree, out)
    out.write(tar.END)


def write_members(store: Store, tree: Mapping[str, Entry], out: Sink) -> None:
    """Writes the bytes of `writers.tar.write_members`."""
    for section in sections(tree):
        _, content = memoized(store, f"tar {tar.VERSION} {named(section)}", partial(tar.write_members, section))
        out.extend(content)
