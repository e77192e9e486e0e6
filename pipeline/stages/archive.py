"""A tree as a tar archive: sections in which nothing changed are not written again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pipeline.model.columns import named
from pipeline.model.tree import Entry, Sink, sections
from pipeline.stages.kept import kept
from pipeline.store import Store
from pipeline.writers import tar


def write(store: Store, tree: Mapping[str, Entry], out: Sink) -> None:
    """As writers.tar.write, the same bytes."""
    write_members(store, tree, out)
    out.write(tar.END)


def write_members(store: Store, tree: Mapping[str, Entry], out: Sink) -> None:
    """As writers.tar.write_members, the same bytes."""
    for section in sections(tree):
        _, content = kept(store, f"tar {tar.VERSION} {named(section)}", partial(tar.write_members, section))
        out.extend(content)
