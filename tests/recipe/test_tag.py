"""Names of images in the store, for other tools."""

import json

from pipeline.recipe import tag
from tests.judges import need, run


def descriptor(store, arch):
    platform = {"os": "linux", "architecture": arch}
    config = store.put(json.dumps(platform | {"rootfs": {"type": "layers", "diff_ids": []}}).encode())
    kind = "application/vnd.oci.image.config.v1+json"
    manifest = {"schemaVersion": 2, "config": tag.describe(store, kind, config), "layers": []}
    digest = store.put(json.dumps(manifest).encode())
    return tag.describe(store, "application/vnd.oci.image.manifest.v1+json", digest, platform=platform)


def names(store):
    entries = json.loads((store.root / "index.json").read_text())["manifests"]
    return {each["annotations"][tag.REF_NAME]: each["digest"] for each in entries}


def test_a_name_stands_for_every_platform_and_skopeo_finds_it(store):
    amd, arm = descriptor(store, "amd64"), descriptor(store, "arm64")
    for image in (amd, arm, amd):
        tag.tag(store, "x:1", image)
    tag.tag(store, "y:1", amd)
    assert names(store).keys() == {"x:1", "y:1"}
    index = json.loads(run(need("skopeo"), "inspect", "--raw", f"oci:{store.root}:x:1").stdout)
    assert {each["digest"] for each in index["manifests"]} == {amd["digest"], arm["digest"]}


def test_a_damaged_index_begins_anew(store):
    image = descriptor(store, "amd64")
    tag.tag(store, "x:1", image)
    (store.root / "index.json").write_text('{"manifests": [{"digest": 1}]}')
    tag.tag(store, "y:1", image)
    assert names(store).keys() == {"y:1"}
