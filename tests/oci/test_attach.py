"""Artifacts about an image, attached to it in Debian's docker-registry, and in one that lists referrers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.model.digest import Digest
from pipeline.oci import push, reference, referrers
from pipeline.oci.attach import attach, attach_simple_signature
from pipeline.oci.registry import Registry
from pipeline.store import Store
from pipeline.trust import signing
from tests.oci import servers

NOTES = {"dev.sigstore.bundle.content": "dsse-envelope"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with servers.docker_registry(tmp_path / "registry") as found:
        yield found


def manifest(host: str, name: str) -> Any:
    return json.loads(Registry(host, "a").manifest(name)[0])


def test_referrers_by_tag_where_the_registry_lists_none(store: Store, host: str) -> None:
    subject = push.send(store, push.describe_files(store, {"amd64": {"x": store.content(b"x")}}), f"{host}/a:1")
    first = attach(store, subject, f"{host}/a", "application/spdx+json", b"sbom")
    second = attach(store, subject, f"{host}/a:1", "application/x-signature", b"signature", NOTES)
    again = attach(store, subject, f"{host}/a", "application/spdx+json", b"sbom")
    index = manifest(host, f"sha256-{subject.hex}")
    assert [entry["digest"] for entry in index["manifests"]] == [first, second] and again == first
    assert [entry.get("annotations") for entry in index["manifests"]] == [None, NOTES]
    assert [entry["artifactType"] for entry in index["manifests"]] == [
        "application/spdx+json",
        "application/x-signature",
    ]
    artifact = manifest(host, second)
    assert artifact["subject"]["digest"] == subject and artifact["annotations"] == NOTES
    assert artifact["artifactType"] == artifact["layers"][0]["mediaType"] == "application/x-signature"


def test_no_tag_where_the_registry_lists_referrers(store: Store) -> None:
    data = b'{"schemaVersion": 2}'
    with servers.server() as far:
        far.manifests[str(Digest.of(data))] = data, "application/vnd.oci.image.manifest.v1+json"
        far.rules.append(lambda r: r.command == "HEAD" and r.answer(200))
        far.rules.append(lambda r: r.command == "PUT" and r.answer(201, OCI_Subject=str(Digest.of(data))))
        attach(store, Digest.of(data), f"{far.host}/a", "a/b", b"x")
        assert not any("manifests/sha256-" in path for path in far.paths)


def test_simple_signatures_are_added_to_those_that_are_there(store: Store, host: str) -> None:
    subject = push.send(store, push.describe_files(store, {"amd64": {"x": store.content(b"x")}}), f"{host}/a:1")
    payload = signing.legacy_payload(subject, f"{host}/a")
    first = attach_simple_signature(store, subject, f"{host}/a", payload, "Zmlyc3Q=")
    assert attach_simple_signature(store, subject, f"{host}/a", payload, "Zmlyc3Q=") == first
    assert attach_simple_signature(store, subject, f"{host}/a", payload, "c2Vjb25k") != first
    found = referrers.find(reference.parse(f"{host}/a:1"), [subject]).signatures
    key = "dev.cosignproject.cosign/signature"
    assert [dict(each.evidence.annotations)[key] for each in found] == ["Zmlyc3Q=", "c2Vjb25k"]
    assert {each.evidence.data for each in found} == {payload}
