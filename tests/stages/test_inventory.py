"""The inventory of a node: each part once, and the owner of each file of the root."""

from __future__ import annotations

import hashlib

from pipeline.model.origins import MADE, Origin
from pipeline.model.tree import complete, files
from pipeline.stages.inventory import Inventory, OwnedFile, Part, inventory, load
from pipeline.store import Store
from tests.stages.test_origins import put

ONE = Origin("deb", "one", "1", "amd64", licenses=("Expat",))
LOADER = Origin("deb", "loader", "2", "amd64", within="nodekiln/syslinux")


def test_a_package_in_two_images_is_one_part(store: Store) -> None:
    paths = {"a": b"1", "b": b"1", "c": b"2", "d": b""}
    tree = store.put_tree(complete(files((path, store.content(data)) for path, data in paths.items())))
    ways = [ONE._replace(within="r/x"), ONE._replace(within="r/y", layer="l"), MADE, MADE]
    known = put(store, dict(zip(paths, ways, strict=True)))
    loader = store.put_tree(files([("boot", ())]))
    image = put(store, {"boot": LOADER, "one": ONE._replace(within="r/z"), "gone": Origin("deb", "gone")})
    result = load(store, inventory(store, tree, known, loader, image, name="n", arch="amd64", epoch=7))
    parts = (Part(LOADER._replace(within=""), ("nodekiln/syslinux",), (), True),
             Part(ONE, ("r/x", "r/y"), ("l",), False), Part(MADE, (), (), False))  # fmt: skip
    sums = {data: (hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest()) for data in paths.values()}
    rows = tuple(OwnedFile(path, *sums[paths[path]], 1 if path in "ab" else 2) for path in "abcd")
    assert result == Inventory("n", "amd64", 7, parts, rows)
