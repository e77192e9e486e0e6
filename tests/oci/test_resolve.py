"""References resolved: indexes in indexes, platforms, layouts of many images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.oci import manifest
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.resolve import resolve
from tests.oci import craft

LAYER = craft.archive(craft.entry("x"))


def index(folder: Path, name: str, *entries: dict[str, Any]) -> str:
    document = {"schemaVersion": 2, "mediaType": manifest.INDEXES[0], "manifests": list(entries)}
    return craft.tagged(folder, json.dumps(document).encode(), name, manifest.INDEXES[0])


def pointer(folder: Path, digest: str, kind: str, platform: str = "") -> dict[str, Any]:
    size = (folder / "blobs" / "sha256" / digest[7:]).stat().st_size
    parts = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    return {"mediaType": kind, "digest": digest, "size": size} | ({"platform": parts} if platform else {})


def test_nested_indexes(tmp_path: Path) -> None:
    image = craft.image(tmp_path, [LAYER], name="image")
    other = craft.image(tmp_path, [LAYER], name="other", config={"architecture": "arm64"})
    first = index(tmp_path, "first", pointer(tmp_path, image, manifest.MANIFESTS[0], "linux/amd64"))
    second = index(tmp_path, "second", pointer(tmp_path, other, manifest.MANIFESTS[0], "linux/arm64"))
    top = [pointer(tmp_path, first, manifest.INDEXES[0]), pointer(tmp_path, second, manifest.INDEXES[0], "linux/arm64")]
    digest = index(tmp_path, "top", *top)
    resolved = resolve(f"oci:{tmp_path}:top", ["amd64", "arm64"])
    assert resolved.index == digest
    assert [locked.manifest for locked in resolved.platforms.values()] == [image, other]
    with pytest.raises(NotFound, match=r"not there for linux/arm/v7, only for: linux/amd64, linux/arm64|linux/amd64"):
        resolve(f"oci:{tmp_path}:top", ["arm/v7"])


def test_deep_and_wide_indexes_end(tmp_path: Path) -> None:
    image = craft.image(tmp_path, [LAYER], name="image")
    digest = index(tmp_path, "0", pointer(tmp_path, image, manifest.MANIFESTS[0], "linux/amd64"))
    for depth in range(1, 8):
        digest = index(tmp_path, str(depth), pointer(tmp_path, digest, manifest.INDEXES[0]))
    assert resolve(f"oci:{tmp_path}:4", ["amd64"])
    with pytest.raises(Refusal, match=r"inside each other"):
        resolve(f"oci:{tmp_path}:7", ["amd64"])
    many = [index(tmp_path, f"w{n}", {**pointer(tmp_path, image, "a/b"), "size": n}) for n in range(80)]
    index(tmp_path, "wide", *(pointer(tmp_path, digest, manifest.INDEXES[0]) for digest in many))
    with pytest.raises(Refusal, match=r"or 64 in all"):
        resolve(f"oci:{tmp_path}:wide", ["amd64"])
    thousands = [pointer(tmp_path, image, manifest.MANIFESTS[0], "linux/amd64")] * 10_001
    index(tmp_path, "thousands", *thousands)
    with pytest.raises(Refusal, match=r"more than 10000"):
        resolve(f"oci:{tmp_path}:thousands", ["amd64"])


def test_a_manifest_that_an_index_calls_an_index(tmp_path: Path) -> None:
    image = craft.image(tmp_path, [LAYER], name="image")
    index(tmp_path, "x", pointer(tmp_path, image, manifest.INDEXES[0]))
    with pytest.raises(Refusal):
        resolve(f"oci:{tmp_path}:x", ["amd64"])


def test_an_image_for_another_architecture_is_not_taken(tmp_path: Path) -> None:
    craft.image(tmp_path, [LAYER], name="image", config={"architecture": "s390x"})
    with pytest.raises(NotFound, match=r"is for linux/s390x, not for linux/amd64"):
        resolve(f"oci:{tmp_path}:image", ["amd64"])


def test_a_layout_of_many_images_wants_a_name(tmp_path: Path) -> None:
    for name, data in (("one", b"1"), ("two", b"2")):
        craft.image(tmp_path, [craft.archive(craft.entry("x", data=data))], name=name)
    with pytest.raises(ImageError, match=r"holds 2 images: write .*:REF with REF one of one, two"):
        resolve(f"oci:{tmp_path}", ["amd64"])
    with pytest.raises(NotFound, match=r"no image named three"):
        resolve(f"oci:{tmp_path}:three", ["amd64"])


def test_the_lock_s_document_is_json_and_the_same_each_time(tmp_path: Path) -> None:
    craft.image(tmp_path, [LAYER], name="image")
    first, second = (resolve(f"oci:{tmp_path}:image", ["amd64"]).document() for _ in range(2))
    assert json.loads(json.dumps(first)) == second
    assert first["index"] is None and set(first["platforms"]["amd64"]) == {"manifest", "config", "layers", "facts"}
