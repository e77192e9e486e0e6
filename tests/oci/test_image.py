"""Images in the store, by the digests of their manifests."""

import pytest

from pipeline.oci import image
from pipeline.oci.error import Refusal
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull
from pipeline.store import Missing
from tests.oci import craft


def test_manifest_and_config_of_a_pulled_image(store, tmp_path):
    craft.image(tmp_path / "layout", [craft.archive(craft.entry("x"))], config={"config": {"Cmd": ["/x"]}})
    reference = f"oci:{tmp_path}/layout"
    digest = pull(store, reference=reference, manifest=resolve(reference, ["amd64"]).platforms["amd64"].manifest)
    assert len(image.image_manifest(store, digest).layers) == 1
    assert image.image_config(store, digest)["Cmd"] == ["/x"]
    store.path(image.image_manifest(store, digest).config.digest).unlink()
    with pytest.raises(Missing):
        image.image_config(store, digest)


@pytest.mark.parametrize("data", [b"text", b'{"schemaVersion": 2, "manifests": []}', bytes(5 << 20)])
def test_what_is_no_manifest_is_refused(store, data):
    with pytest.raises(Refusal):
        image.image_manifest(store, store.put(data))
