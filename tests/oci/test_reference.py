"""References: what they mean, and what is refused in which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci.reference import InvalidReference, Reference, expand, parse
from tests.oci.test_manifest import HEX

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
