"""Signatures in registries and layouts: all places where they are kept are found, lists are not believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.model.digest import Digest
from pipeline.oci import referrers
from pipeline.oci.error import Refusal
from pipeline.oci.reference import parse
from pipeline.trust import evidence
from tests.oci import craft, servers
from tests.oci.servers import Request, Server

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"
COSIGN = {"dev.cosignproject.cosign/signature": "MEUCIQ==", "org.example": "x"}

Put = Callable[[bytes, str, str], object]
"""Stores a document: its bytes, name and media type; "" as name for its digest alone."""


def descriptor(data: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": craft.digest(data), "size": len(data), **fields}


def signature(
    subject: str | None, data: bytes, media_type: str = evidence.BUNDLE, size: int | None = None, **fields: Any
) -> bytes:
    """A manifest with one signature; a referrer of `subject` if there is one."""
    layer = descriptor(data, media_type, annotations=COSIGN) | ({} if size is None else {"size": size})
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": media_type,
        "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [layer],
    }
    if subject:
        manifest["subject"] = {"mediaType": MANIFEST, "digest": subject, "size": 1}
    return json.dumps(manifest | fields).encode()


def listing(*manifests: bytes, artifact_type: str = "application/vnd.oci.empty.v1+json") -> bytes:
    """An index of referrers, as cosign writes it under the fallback tag: with an artifact type that says nothing."""
    entries = [descriptor(each, MANIFEST, artifactType=artifact_type) for each in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def hold(server: Server, *documents: bytes, **named: bytes) -> None:
    """Puts manifests and blobs into a server, by digest and by name."""
    for data in (*documents, *named.values()):
        media_type = json.loads(data).get("mediaType", "") if data.startswith(b"{") else ""
        server.blobs[craft.digest(data)] = data
        if media_type:
            server.manifests[craft.digest(data)] = data, media_type
    server.manifests |= {name: server.manifests[craft.digest(data)] for name, data in named.items()}


def api(subject: str, *pages: bytes, link: str = "") -> servers.Rule:
    """Answers the referrers API: page after page. link: of the last page."""

    def rule(request: Request) -> bool:
        path, _, query = request.path.partition("?")
        if not path.endswith(f"/referrers/{subject}"):
            return False
        number = int(query.rpartition("=")[2] or 0)
        following = f"{path}?page={number + 1}" if number + 1 < len(pages) else link
        headers = {"Link": f'<{following}>; rel="next"'} if following else {}
        return request.answer(200, pages[min(number, len(pages) - 1)], Content_Type=INDEX, **headers)

    return rule


@pytest.fixture
def registry() -> Iterator[Server]:
    with servers.server() as found:
        yield found


SUBJECT = Digest("sha256:" + "a" * 64)
TAG = "sha256-" + "a" * 64


def find(server: Server, *subjects: Digest) -> referrers.Search:
    return referrers.find(parse(f"{server.host}/acme/app:1"), subjects or [SUBJECT])


def blobs(search: referrers.Search) -> list[bytes]:
    return sorted(each.evidence.data for each in search.signatures)


def test_all_places_of_a_registry_are_looked_into(registry: Server) -> None:
    by_api, later, by_tag = (signature(SUBJECT, name) for name in (b"api", b"later", b"tag"))
    by_name = signature(None, b"sig", evidence.SIMPLE_SIGNING)
    hold(registry, b"api", b"later", b"tag", b"sig", by_api, later, by_tag)
    hold(registry, **{TAG: listing(by_tag, by_api), f"{TAG}.sig": by_name})
    registry.rules.append(api(SUBJECT, listing(by_api), listing(later)))
    search = find(registry)
    assert blobs(search) == [b"api", b"later", b"sig", b"tag"] and search.faults == ()
    assert search.asked == (f"http://{registry.host}/acme/app",)
    [cosign] = [each.evidence for each in search.signatures if each.evidence.kind == "cosign"]
    assert cosign.annotations == (("dev.cosignproject.cosign/signature", "MEUCIQ=="),)


def test_the_tag_of_a_long_digest_is_cut() -> None:
    assert referrers.tag(SUBJECT) == TAG and referrers.tag(Digest("sha512:" + "b" * 128)) == "sha512-" + "b" * 64


def test_an_index_and_its_manifest_have_signatures_of_their_own(registry: Server) -> None:
    other = Digest("sha256:" + "b" * 64)
    of_index, of_manifest = signature(SUBJECT, b"index"), signature(other, b"manifest")
    hold(registry, b"index", b"manifest", of_index, of_manifest)
    hold(registry, **{TAG: listing(of_index), "sha256-" + "b" * 64: listing(of_manifest)})
    search = find(registry, SUBJECT, other)
    assert {each.subject: each.evidence.data for each in search.signatures} == {SUBJECT: b"index", other: b"manifest"}


@pytest.mark.parametrize("media_type", evidence.BUNDLES)
def test_bundles_of_all_versions_are_found(registry: Server, media_type: str) -> None:
    own = signature(SUBJECT, b"own", media_type)
    hold(registry, b"own", own, **{TAG: listing(own)})
    search = find(registry)
    assert blobs(search) == [b"own"] and not search.faults
    assert evidence.parse_entry(search.signatures[0].evidence.document()).kind == "sigstore"


def test_a_bundle_of_a_version_that_is_not_known_is_passed_over(registry: Server) -> None:
    for media_type in ("bundle+json;version=9", "bundle+json", "bundle+json;version=0.1;version=0.3", "bundle+json;v"):
        other = signature(SUBJECT, b"x", f"application/vnd.dev.sigstore.{media_type}")
        hold(registry, b"x", other, **{TAG: listing(other)})
        assert blobs(find(registry)) == []


def test_a_referrer_of_another_subject_is_a_fault(registry: Server) -> None:
    other = signature("sha256:" + "b" * 64, b"x")
    hold(registry, b"x", other, **{TAG: listing(other)})
    search = find(registry)
    assert search.signatures == () and "is listed for sha256:aaaa" in search.faults[0]


def test_what_is_no_signature_is_passed_over(registry: Server) -> None:
    sbom = signature(SUBJECT, b"sbom", "application/spdx+json")
    swapped = signature(SUBJECT, b"bundle", artifactType="application/spdx+json")
    hold(registry, b"sbom", b"bundle", sbom, swapped, **{TAG: listing(sbom, swapped)})
    assert blobs(find(registry)) == [b"bundle"], "the media type of the layer decides"


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (b'{"schemaVersion": 2, "mediaType": "%s", "layers": []}' % MANIFEST.encode(), "is not a descriptor"),
        (signature(SUBJECT, b"gone"), "404"),
        (signature(SUBJECT, b"small", size=referrers.SIGNATURE_LIMIT + 1), "claims 4194305 bytes"),
        (signature(SUBJECT, b"small", size=4), "has more bytes, not 4"),
    ],
)
def test_a_malformed_one_does_not_hide_the_others(registry: Server, document: bytes, fault: str) -> None:
    good = signature(SUBJECT, b"good")
    hold(registry, b"good", b"small", good, document, **{TAG: listing(document, good)})
    search = find(registry)
    assert blobs(search) == [b"good"] and fault in search.faults[0] and fault in search.described()


def test_content_of_another_digest_is_a_fault(registry: Server) -> None:
    lies = signature(SUBJECT, b"right")
    hold(registry, lies, **{TAG: listing(lies)})
    registry.blobs[craft.digest(b"right")] = b"wrong"
    assert "its digest is" in find(registry).faults[0]
    registry.manifests[craft.digest(lies)] = signature(SUBJECT, b"other"), MANIFEST
    assert "its digest is" in find(registry).faults[0]


def test_ten_thousand_signatures_are_refused(registry: Server) -> None:
    layers = [descriptor(b"x%d" % number, evidence.BUNDLE) for number in range(1000)]
    many = json.dumps(json.loads(signature(None, b"")) | {"layers": layers}).encode()
    hold(registry, *(b"x%d" % number for number in range(200)), **{f"{TAG}.sig": many})
    with pytest.raises(Refusal, match="more than 100 signatures of sha256:aaaa"):
        find(registry)
    assert len(registry.log) < 120


def test_signatures_of_many_bytes_are_refused_before_they_are_fetched(registry: Server) -> None:
    layers = [descriptor(b"x%d" % number, evidence.BUNDLE) | {"size": 4 << 20} for number in range(20)]
    many = json.dumps(json.loads(signature(None, b"")) | {"layers": layers}).encode()
    hold(registry, **{f"{TAG}.sig": many})
    registry.rules.append(lambda request: "/blobs/" in request.path and request.answer(200, bytes(4 << 20)))
    search = find(registry)
    assert search.signatures == (), "each has another digest"
    many = json.dumps(
        json.loads(many) | {"layers": [each | {"digest": craft.digest(bytes(4 << 20))} for each in layers]}
    ).encode()
    hold(registry, **{f"{TAG}.sig": many})
    with pytest.raises(Refusal, match="of more than 67108864 bytes"):
        find(registry)


def test_referrers_without_end_are_refused(registry: Server) -> None:
    registry.rules.append(api(SUBJECT, listing(), link=f"/v2/acme/app/referrers/{SUBJECT}?page=1"))
    with pytest.raises(Refusal, match="more than 32 pages"):
        find(registry)


@pytest.mark.parametrize("link", ["http://169.254.169.254/latest", "//evil.example/v2/", "/v2/other/app/referrers/x"])
def test_a_next_page_elsewhere_is_not_fetched(registry: Server, link: str) -> None:
    good = signature(SUBJECT, b"good")
    hold(registry, b"good", good, **{TAG: listing(good)})
    registry.rules.append(api(SUBJECT, listing(), link=link))
    search = find(registry)
    assert blobs(search) == [b"good"] and "in another place" in search.faults[0]
    assert not [path for path in registry.paths if "other/app" in path or "latest" in path]


def test_a_mirror_without_the_signature_is_named_and_the_next_is_asked(registry: Server) -> None:
    with servers.server() as mirror:
        reference = parse("ghcr.io/acme/app:1")
        alone = {"ghcr.io": (f"http://{mirror.host}",)}
        assert referrers.find(reference, [SUBJECT], alone).described() == f"asked: http://{mirror.host}/acme/app"
        good = signature(SUBJECT, b"good")
        hold(registry, b"good", good, **{TAG: listing(good)})
        both = {"ghcr.io": (f"http://{mirror.host}", f"http://{registry.host}")}
        [found] = referrers.find(reference, [SUBJECT], both).signatures
        assert found.source == f"http://{registry.host}/acme/app"


def test_a_registry_that_does_not_answer_is_a_fault(registry: Server) -> None:
    registry.rules.append(lambda request: request.answer(403, b"no"))
    assert "answers 403" in find(registry).described()


def image_with_index(folder: Path) -> tuple[Digest, Digest]:
    """Writes a layout with an image of one platform under the name `1`; its index's and manifest's digests."""
    manifest = craft.image(folder, [craft.archive(craft.entry("x"))], name="amd64")
    size = (folder / "blobs" / "sha256" / manifest[7:]).stat().st_size
    platform = {"os": "linux", "architecture": "amd64"}
    entry = {"mediaType": MANIFEST, "digest": manifest, "size": size, "platform": platform}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    return Digest(craft.tagged(folder, index, "1", INDEX)), Digest(manifest)


@pytest.mark.parametrize("prefix", ["", "ghcr.io/acme/app:"])
@pytest.mark.parametrize("where", ["tag", "cosign", "saved", "referrer"])
def test_a_layout_has_them_by_name_or_in_its_index(tmp_path: Path, where: str, prefix: str) -> None:
    index, manifest = image_with_index(tmp_path)
    for data in (EMPTY, b"x"):
        craft.put(tmp_path, data)
    name = f"{prefix}{referrers.tag(index)}"
    referrer, legacy = signature(index, b"x"), signature(None, b"x", evidence.SIMPLE_SIGNING)
    if where == "tag":
        craft.put(tmp_path, referrer)
        craft.tagged(tmp_path, listing(referrer), name, INDEX)
    elif where == "cosign":
        craft.tagged(tmp_path, legacy, f"{name}.sig")
    else:
        craft.tagged(tmp_path, legacy if where == "saved" else referrer, "")
    search = referrers.find(parse(f"oci:{tmp_path}:1"), [index, manifest])
    assert {each.evidence.data for each in search.signatures} == {b"x"} and not search.faults
    subjects = {index, manifest} if where == "saved" else {index}
    assert {each.subject for each in search.signatures} == subjects and search.asked == (f"oci:{tmp_path}",)


def test_a_referrer_of_a_manifest_in_a_layout(tmp_path: Path) -> None:
    index, manifest = image_with_index(tmp_path)
    for data in (EMPTY, b"x"):
        craft.put(tmp_path, data)
    craft.tagged(tmp_path, signature(manifest, b"x"), "")
    search = referrers.find(parse(f"oci:{tmp_path}:1"), [index, manifest])
    assert [each.subject for each in search.signatures] == [manifest] and not search.faults


def test_a_layout_as_a_mirror_has_them_under_the_full_name(tmp_path: Path) -> None:
    index, _ = image_with_index(tmp_path)
    craft.put(tmp_path, b"x")
    craft.tagged(tmp_path, signature(None, b"x"), f"ghcr.io/acme/app:{referrers.tag(index)}.sig")
    found = referrers.find(parse("ghcr.io/acme/app:1"), [index], {"ghcr.io": (f"oci:{tmp_path}",)})
    assert blobs(found) == [b"x"]


def test_the_documents_on_the_way_to_a_manifest(tmp_path: Path) -> None:
    index, manifest = image_with_index(tmp_path)
    image = parse(f"oci:{tmp_path}:1")
    near = referrers.documents(image, index, manifest)
    assert evidence.way(index, manifest, near) == [*near] == [index, manifest]
    entry = descriptor(near[index], INDEX)
    outer = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    craft.tagged(tmp_path, outer, "outer", INDEX)
    assert [*referrers.documents(image, Digest.of(outer), manifest)] == [Digest.of(outer), index, manifest]
    assert [*referrers.documents(image, None, manifest)] == [manifest]
    with pytest.raises(Refusal, match="does not list"):
        referrers.documents(image, index, Digest("sha256:" + "0" * 64))


def test_debians_registry_keeps_them_under_tags(tmp_path: Path) -> None:
    """Real: docker-registry has no referrers API, so that clients write the tags."""
    index, _ = image_with_index(tmp_path / "layout")
    with servers.docker_registry(tmp_path / "registry") as host:
        base = f"http://{host}/v2/acme/app"

        def put(data: bytes, name: str, media_type: str = MANIFEST) -> None:
            answer = requests.put(f"{base}/manifests/{name}", data, headers={"Content-Type": media_type}, timeout=10)
            assert answer.status_code == 201, answer.text

        for blob in (EMPTY, b"bundle", b"payload"):
            upload = requests.post(f"{base}/blobs/uploads/", timeout=10).headers["Location"]
            url = f"{upload}&digest={craft.digest(blob)}"
            assert requests.put(url, blob, timeout=10).status_code == 201
        referrer = signature(index, b"bundle")
        put(referrer, craft.digest(referrer))
        put(listing(referrer), referrers.tag(index), INDEX)
        put(signature(None, b"payload", evidence.SIMPLE_SIGNING), f"{referrers.tag(index)}.sig")
        search = referrers.find(parse(f"{host}/acme/app:1"), [index])
    assert blobs(search) == [b"bundle", b"payload"] and search.faults == ()


def test_bills_are_larger_than_signatures_and_hide_none(registry: Server) -> None:
    """A bill beyond the size of a signature is found as a bill, and a signed statement of it does not hide the rest."""
    kind, large = "application/spdx+json", b"x" * (referrers.SIGNATURE_LIMIT + 1)
    bill, attestation, own = (
        signature(SUBJECT, data, name)
        for data, name in ((large, kind), (large, evidence.BUNDLE), (b"own", evidence.BUNDLE))
    )
    other = signature(Digest("sha256:" + "b" * 64), b"another", kind)
    untied = signature(None, b"untied", kind)
    hold(registry, large, b"own", b"another", b"untied", bill, attestation, own, other, untied)
    hold(registry, **{TAG: listing(bill, attestation, own, other, untied), f"{TAG}.sig": untied})
    reference = parse(f"{registry.host}/acme/app:1")
    found = referrers.bills(reference, [SUBJECT], [kind], len(large))
    assert [(each.subject, each.media_type, each.data) for each in found.bills] == [(SUBJECT, kind, large)]
    assert len(found.faults) == 2 and all("is listed for" in each for each in found.faults)
    assert found.described().startswith(f"asked: http://{registry.host}/acme/app; ")
    search = find(registry)
    assert blobs(search) == [b"own"] and any(str(referrers.SIGNATURE_LIMIT) in each for each in search.faults)
