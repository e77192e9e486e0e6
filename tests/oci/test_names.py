"""References, mirrors, manifests, platforms, configs: what is taken, what is refused, and in which words."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.oci import config, manifest, mirror
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.manifest import Descriptor, Platform
from pipeline.oci.reference import InvalidReference, Reference, expand, parse
from pipeline.oci.resolve import resolve
from tests.oci import craft

HEX = "a" * 64
COMPONENT = st.from_regex(r"[a-z0-9]+((\.|_|__|-{1,3})[a-z0-9]+){0,2}", fullmatch=True)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("linuxkit/init:v1", "docker.io/linuxkit/init:v1"),
        ("localhost/x", "localhost/x"),
        ("localhost:5000/x:1", "localhost:5000/x:1"),
        ("ghcr.io/a/b/c", "ghcr.io/a/b/c"),
        ("[::1]:5000/x", "[::1]:5000/x"),
        (f"alpine@sha256:{HEX}", f"docker.io/library/alpine@sha256:{HEX}"),
        (f"alpine:3@sha512:{HEX * 2}", f"docker.io/library/alpine:3@sha512:{HEX * 2}"),
        ("oci:layouts/x", "oci:layouts/x"),
        ("oci:layouts/x:docker.io/library/alpine:3", "oci:layouts/x:docker.io/library/alpine:3"),
        ("docker-archive:x.tar:a:b", "docker-archive:x.tar:a:b"),
    ],
)
def test_references_expand_as_linuxkit_writes_them(text: str, expanded: str) -> None:
    assert expand(text) == expanded
    assert expand(expanded) == expanded


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "alpine:3.20"),
        ("Alpine", "'alpine'"),
        ("a/b/c", "docker.io/a/b/c"),
        ("alpine:", "1-128"),
        ("alpine:a b", "1-128"),
        ("alpine:" + "x" * 129, "1-128"),
        ("alpine@", "not a digest"),
        ("alpine@sha256:" + "A" * 64, "not a digest"),
        ("alpine@sha256:" + "../" * 20, "not a digest"),
        ("a//b", "not a registry|lower-case"),
        ("../x", "not a host name"),
        ("/x", "lower-case"),
        ("-evil.example/x", "not a host name"),
        ("http://x/y", "lower-case|not a registry|not a host name"),
        ("x.example:port/y", "not a host name"),
        ("a" * 300, "longer than 255"),
        ("a\n", "lower-case"),
        ("oci:", "oci:DIR"),
        ("docker-archive:", "docker-archive:FILE"),
    ],
)
def test_errors_say_what_would_be_right(text: str, hint: str) -> None:
    with pytest.raises(InvalidReference, match=hint):
        parse(text)


@given(
    registry=st.sampled_from(["a.b", "h:1", "localhost"]), parts=st.lists(COMPONENT, min_size=1, max_size=4), tag=TAG
)
def test_what_a_reference_is_made_of_comes_back(registry: str, parts: list[str], tag: str) -> None:
    repository = "/".join(parts)
    assert parse(f"{registry}/{repository}:{tag}") == Reference("registry", registry, repository, tag)


@given(text=st.text(max_size=80))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidReference:
        return
    assert parse(str(reference)) == reference
    if reference.transport == "registry":
        assert ".." not in reference.repository.split("/") and "//" not in reference.repository


def test_mirrors(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.nodekiln]\nmirror = ["docker.io=oci:second", "*=https://all"]\n')
    mirrors = mirror.configured({"NODEKILN_MIRROR": " docker.io=http://first/  ghcr.io=oci:g "}, tmp_path)
    assert mirror.places("docker.io", mirrors) == ("http://first", "oci:second")
    assert mirror.places("ghcr.io", mirrors) == ("oci:g",)
    assert mirror.places("quay.io", mirrors) == ("https://all",)
    assert mirror.places("quay.io", mirror.configured({}, tmp_path / "none")) == ()
    for wrong in ("docker.io", "=http://x", "docker.io=ftp://x"):
        with pytest.raises(ImageError, match=r"registry=http"):
            mirror.parse([wrong])


def entry(platform: str, number: int = 0, **more: Any) -> Descriptor:
    return Descriptor("m/t", Digest(f"sha256:{number:064}"), 1, Platform(*platform.split("/")), **more)


@pytest.mark.parametrize(
    ("asked", "offered", "chosen"),
    [
        ("amd64", "linux/arm64 linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64/v3 linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64/v3 linux/amd64/v2", "linux/amd64/v2"),
        ("amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v2"),
        ("arm64", "linux/arm64/v8 linux/arm", "linux/arm64/v8"),
        ("arm64/v8", "linux/arm64 linux/arm/v8", "linux/arm64"),
        ("arm", "linux/arm/v5 linux/arm/v6 linux/arm/v7", "linux/arm/v7"),
        ("arm/v6", "linux/arm/v7 linux/arm/v5", "linux/arm/v5"),
        ("arm/v6", "linux/arm/v7", None),
        ("amd64", "windows/amd64 unknown/unknown", None),
        ("riscv64", "linux/riscv64/rva23 linux/riscv64/rva20", "linux/riscv64/rva20"),
        ("amd64", "", None),
    ],
)
def test_the_nearest_platform_is_chosen(asked: str, offered: str, chosen: str | None) -> None:
    found = manifest.choose(map(entry, offered.split()), manifest.parse_platform(asked))
    assert (str(found.platform) if found else None) == chosen


def test_of_equal_platforms_the_first_and_no_attestation() -> None:
    entries = [entry("linux/amd64", 1, attestation=True), entry("linux/amd64", 2), entry("linux/amd64", 3)]
    assert manifest.choose(entries, manifest.parse_platform("amd64")) == entries[1]


@pytest.mark.parametrize("wrong", ["", "amd64/v2/x", "AMD64", "../x", "linux/"])
def test_architectures_are_names(wrong: str) -> None:
    with pytest.raises(Refusal, match=r"architecture"):
        manifest.parse_platform(wrong)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("sha256:" + HEX) | st.just("a/b"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "schemaVersion",
                    "mediaType",
                    "config",
                    "layers",
                    "manifests",
                    "digest",
                    "size",
                    "platform",
                    "os",
                    "rootfs",
                    "diff_ids",
                    "User",
                    "Env",
                    "Labels",
                    "annotations",
                    "architecture",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@given(document=JSON, kind=st.sampled_from(["", *manifest.MANIFESTS, *manifest.INDEXES]))
def test_any_json_is_a_manifest_or_refused(document: Any, kind: str) -> None:
    for read in (lambda data: manifest.parse(data, "it", kind), lambda data: config.parse(data, "it")):
        try:
            read(json.dumps(document).encode())
        except Refusal as error:
            assert str(error).startswith("it")


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    for read in (lambda: manifest.parse(data, "it"), lambda: config.parse(data, "it")):
        with contextlib.suppress(Refusal):
            read()


# indexes inside indexes

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
