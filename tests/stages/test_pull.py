"""Images are pulled by digest, and unpacked into trees."""

import pytest

from pipeline.oci.error import NotFound
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull, unpack
from tests.oci import craft


def test_a_pulled_image_is_its_manifest_and_its_tree_that_of_its_layers(store, tmp_path):
    layers = [craft.archive(craft.entry("a", data=b"1"), craft.entry("b")), craft.archive(craft.entry(".wh.b"))]
    craft.image(tmp_path / "layout", layers)
    reference = f"oci:{tmp_path}/layout"
    manifest = resolve(reference, ["amd64"]).platforms["amd64"].manifest
    assert pull(store, reference=reference, manifest=manifest) == manifest
    assert list(store.tree(unpack(store, manifest))) == ["a"]
    with pytest.raises(NotFound):
        pull(store, reference=reference, manifest="sha256:" + "0" * 64)
