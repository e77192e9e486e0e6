"""Damage in the store is found when a blob is used, removed, and fetched again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.model.digest import Digest
from pipeline.oci.decompress import Budget
from pipeline.oci.error import Refusal
from pipeline.oci.image import image_manifest
from pipeline.oci.layer import decompressed
from pipeline.stages.pull import pull, unpack
from pipeline.store import Missing, Store
from tests.oci import craft

LAYER = craft.archive(craft.entry("x", data=os.urandom(100_000)), craft.entry("y"))


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Digest:
    """An image whose layer is only there as it came."""
    digest = craft.image(tmp_path / "layout", [LAYER])
    pull(store, reference=f"oci:{tmp_path}/layout", manifest=digest)
    store.path(Digest(craft.digest(LAYER))).unlink()
    return Digest(digest)


def spoil(store: Store, blob: Digest, change: Callable[[bytes], bytes]) -> None:
    path = store.path(blob)
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))


def flipped(data: bytes) -> bytes:
    return data[:2000] + bytes([data[2000] ^ 255]) + data[2001:]


@pytest.mark.parametrize(
    "change", [flipped, lambda data: data[:5000], lambda data: b""], ids=["flipped", "short", "empty"]
)
def test_a_damaged_layer_is_missing_and_is_fetched_again(
    store: Store, image: Digest, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    layer = image_manifest(store, image).layers[0]
    spoil(store, layer.digest, change)
    with pytest.raises(Missing):
        unpack(store, image)
    assert not store.has(layer.digest)
    pull(store, reference=f"oci:{tmp_path}/layout", manifest=image)
    assert list(store.tree(unpack(store, image))) == ["x", "y"]


def test_a_layer_of_the_wrong_length_is_fetched_again_at_once(store: Store, image: Digest, tmp_path: Path) -> None:
    spoil(store, image_manifest(store, image).layers[0].digest, lambda data: data[:100])
    pull(store, reference=f"oci:{tmp_path}/layout", manifest=image)
    assert list(store.tree(unpack(store, image))) == ["x", "y"]


def test_a_damaged_tar_is_missing_and_is_unpacked_again(store: Store, image: Digest) -> None:
    tree = unpack(store, image)
    layer = image_manifest(store, image).layers[0]
    tar = decompressed(store, layer.digest, Digest(craft.digest(LAYER)), Budget(layer.size))
    spoil(store, tar, lambda data: b"\1" + data[1:])
    with pytest.raises(Missing):
        unpack(store, image)
    assert unpack(store, image) == tree


def test_a_lie_about_the_size_of_what_is_there_is_refused(store: Store, image: Digest, tmp_path: Path) -> None:
    import json

    manifest = json.loads(store.get(image))
    manifest["layers"][0]["size"] += 1
    liar = craft.tagged(tmp_path / "liar", json.dumps(manifest).encode(), "x")
    with pytest.raises(Refusal, match=r"the store: .* bytes, not"):
        pull(store, reference=f"oci:{tmp_path}/liar", manifest=liar)
    assert store.has(image_manifest(store, image).layers[0].digest)
