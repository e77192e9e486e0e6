"""Manifests, indexes and platforms: what is taken, what is refused, and in which words."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.oci import config, manifest
from pipeline.oci.error import Refusal
from pipeline.oci.manifest import Descriptor, Platform

HEX = "a" * 64


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


@pytest.mark.parametrize(
    "text",
    [
        "a/b", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/x+json; version=0.3", "a/b;c=d;e=f;g=h;i=j", "a/b;c=!#$%&'*+.^_`|~-", f"{'a' * 127}/{'b' * 127}",
    ],
)  # fmt: skip
def test_a_media_type_may_have_parameters(text: str) -> None:
    assert manifest.is_media_type(text)
    fields = {"mediaType": text, "digest": "sha256:" + "0" * 64, "size": 1}
    assert manifest.descriptor(fields, "it").media_type == text


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a/", "/b", "a/b/c", "a b/c", "a/b;", "a/b;c", "a/b;c=", "a/b;=d", "a/b;c=d;", "a/b;;c=d", "a/b;c=d=e",
        "a/b ;c=d", "a/b;  c=d", "a/b;\tc=d", "a/b; c =d", "a/b;c= d", "a/b;c=d ", " a/b;c=d", "a/b;c=d\n",
        "a/b;c=d\r\nX: y",
        'a/b;c="d"', 'a/b;c="d;e=f"', "a/b;c=d/e", "a/b;c=(d)", "a/b;c=d,a/b", "a/b;c=d;c=d", "a/b;c=d;C=e",
        "a/b;c=\u00e9",
        "a/b;\u0441=d", "a/b;c=d\0", "a/b;c=d;e=f;g=h;i=j;k=l", f"a/b;c={'d' * 128}", f"a/b;{'c' * 128}=d",
        f"{'a' * 128}/b",
        "a/b;c=d" * 50_000, "a/b;" * 50_000, "a/b;c=" + "d;" * 50_000, "a/*", "*/*",
    ],
)  # fmt: skip
def test_what_is_no_media_type_is_refused(text: str) -> None:
    assert not manifest.is_media_type(text)
    with pytest.raises(Refusal, match="is not a media type"):
        manifest.descriptor({"mediaType": text, "digest": "sha256:" + "0" * 64, "size": 1}, "it")
