"""Volumes: blank, with an image, and holding images."""

from __future__ import annotations

import json

import pytest

from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Symlink
from pipeline.stages import volume
from pipeline.store import Store
from tests.stages.images import image, text, tree_of
from tests.stages.test_golden import Json


class TestVolume:
    def test_a_blank_one(self, store: Store) -> None:
        tree = store.tree(volume.volume(store, prefix="containers/volumes/v", epoch=EPOCH))
        place = "containers/volumes/v"
        assert list(tree) == [
            "containers",
            "containers/volumes",
            place,
            f"{place}/lower",
            f"{place}/merged",
            f"{place}/tmp",
        ]

    def test_one_with_an_image(self, store: Store) -> None:
        given = store.put_tree(tree_of(store, "data/x"))
        tree = store.tree(volume.volume(store, given, prefix="containers/volumes/v", epoch=EPOCH))
        assert text(store, tree, "containers/volumes/v/lower/data/x") == "data/x"
        assert type(tree["containers/volumes/v/lower/etc/resolv.conf"]) is Symlink

    def test_one_that_holds_an_image_itself(self, store: Store) -> None:
        given = image(store, tree_of(store, "bin/x"))
        params: Json = {"prefix": "v", "reference": "docker.io/library/a:1", "epoch": EPOCH}
        tree = store.tree(volume.layout(store, given.manifest, platforms=["linux/amd64"], **params))
        index = json.loads(text(store, tree, "v/lower/index.json"))
        assert index["manifests"][0]["digest"] == given.manifest
        assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "docker.io/library/a:1"}
        blobs = {
            path.removeprefix("v/lower/blobs/sha256/"): entry
            for path, entry in tree.items()
            if "/blobs/sha256/" in path
        }
        assert given.manifest.hex in blobs and len(blobs) == 2
        for name in blobs:
            assert Digest.of(text(store, tree, f"v/lower/blobs/sha256/{name}").encode()).hex == name
        with pytest.raises(StageProblem, match="has nothing for linux/arm64") as caught:
            volume.layout(store, given.manifest, given.manifest, platforms=["linux/amd64", "linux/arm64"], **params)
        assert caught.value.path == ("platforms", 1)
