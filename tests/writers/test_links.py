"""Names of one file that say different things of it: the first one rules, in every structure."""

import pytest

from pipeline import readers
from pipeline.model.tree import File, Tree
from pipeline.readers.view import HostFile
from pipeline.writers import cpio, erofs, iso9660, squashfs
from tests.writers import samples


def _squashfs(store, tree, out):
    return squashfs.write(tree, store.read, out, samples.blocks(store, "zstd:3"))


WRITERS = {
    "cpio": lambda store, tree, out: cpio.write(tree, out),
    "erofs": lambda store, tree, out: erofs.write(tree, store.read, out, None),
    "iso9660": lambda store, tree, out: iso9660.write(iso9660.plan(tree, samples.keep(store)), out, "NODE"),
    "squashfs": _squashfs,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_first_name_of_a_file_rules(store, tmp_path, name):
    tree = Tree({
        "a": File(0o644, 1, 2, 1_700_000_000, (), store.content(b"the first"), "a"),
        "b": File(0o600, 3, 4, 1_600_000_000, (), store.content(b"another"), "a"),
    })  # fmt: skip
    out = store.rope()
    first = WRITERS[name](store, tree, out)
    store.export((store.content(first) if first else ()) + out.finish(), tmp_path / "image")
    listing = readers.look_into(HostFile(tmp_path / "image")).listing
    for path in ("a", "b"):
        facts = listing[path].properties
        assert (facts["mode"], facts["uid"], facts["gid"]) == ("0644", 1, 2), path
    assert listing["b"].content.read(0, 100) == b"the first"
