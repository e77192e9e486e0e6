"""An archive made section by section is the one that is made at once, whatever of it was kept from another."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incremental import open_store
from pipeline.model import tree as trees
from pipeline.stages import archive
from pipeline.writers import tar
from tests.writers import samples


@pytest.fixture(scope="session")
def store(session_store):
    return session_store


def written(store, write):
    out = store.rope()
    write(out)
    return store.bytes(out.finish())


@given(samples.random_files(), samples.random_files(), st.sampled_from([1, 3]))
@settings(max_examples=40)
def test_sections_make_the_same_archive(tmp_path_factory, before, after, size):
    store = open_store(tmp_path_factory.getbasetemp() / "archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "SECTION", size)
        for files in (before, after, before):
            tree = samples.stored(store, files)
            made = written(store, lambda out: archive.write(store, tree, out))  # noqa: B023
            assert made == written(store, lambda out: tar.write(tree, out))  # noqa: B023


@pytest.mark.parametrize("lose", [Path.unlink, lambda blob: blob.chmod(0o644) or blob.write_bytes(b"[]")])
def test_what_was_lost_or_damaged_is_made_again(tmp_path, lose):
    store = open_store(tmp_path)
    tree = samples.special(store)
    first = written(store, lambda out: archive.write(store, tree, out))
    kept = {entry.content for entry in tree.values() if hasattr(entry, "content")}
    needed = {piece.blob for content in kept for piece in content}
    for blob in (tmp_path / "blobs/sha256").iterdir():
        if f"sha256:{blob.name}" not in needed:
            lose(blob)
    assert written(store, lambda out: archive.write(store, tree, out)) == first
