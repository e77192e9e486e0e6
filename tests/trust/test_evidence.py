"""Files of evidence: written and read alike, each entry under its digest; the way from an index to a manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.trust import evidence
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.evidence import Evidence, EvidenceFile

ONE = Evidence("application/jose+json", b"{}")
TWO = Evidence(evidence.SIMPLE_SIGNING, b"\0payload", (("dev.cosignproject.cosign/signature", "MEUC"),))
MANIFEST = "sha256:" + "1" * 64


def index(*digests: str, **fields: Any) -> bytes:
    return json.dumps({"manifests": [{"digest": each} for each in digests]} | fields).encode()


def file() -> EvidenceFile:
    return EvidenceFile({each.digest: each for each in (ONE, TWO)}, {Digest.of(data := index(MANIFEST)): data})


def test_what_is_written_is_read_and_sorted() -> None:
    text = file().text()
    assert evidence.parse(text.encode()) == file()
    assert text == EvidenceFile(dict(reversed(file().signatures.items())), file().documents).text()
    kept = file().only([TWO.digest])
    assert kept == EvidenceFile({TWO.digest: TWO}, {}) and kept.joined(file()) == file()
    assert (ONE.kind, TWO.kind) == ("notation", "cosign")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.update(version=2), "an object of version 1"),
        (lambda document: document.update(signatures=[]), "signatures by digest"),
        (lambda document: document.update(documents={"x": ""}), "documents by digest"),
        (lambda document: document["documents"].update({MANIFEST: "e30="}), "another digest"),
        (lambda document: document["signatures"][TWO.digest].update(contents="e30="), "another digest"),
        (lambda document: document["signatures"][TWO.digest].update(contents="e30"), "not base64"),
        (lambda document: document["signatures"][TWO.digest].update(contents=1), "base64 belong"),
        (lambda document: document["signatures"][TWO.digest].update(mediaType="text/html"), "not the media type"),
        (lambda document: document["signatures"][TWO.digest].update(annotations={"x": "y"}), "none of cosign's"),
        (lambda document: document["signatures"][TWO.digest].update(
            annotations={"dev.cosignproject.cosign/signature": 1}), "not a string"),
        (lambda document: document["signatures"][TWO.digest].update(more=1), "is an object with"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(change: Any, message: str) -> None:
    document = json.loads(file().text())
    change(document)
    with pytest.raises(SignatureRefusal, match=message):
        evidence.parse(json.dumps(document).encode())


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"version": 1, "version": 1}', "\udcff"])
def test_what_is_no_file_of_evidence_is_refused(text: str) -> None:
    with pytest.raises(SignatureRefusal):
        evidence.parse(text.encode("utf-8", "surrogateescape"))


json_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.just(MANIFEST),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["annotations", "contents", "mediaType", "manifests", "digest", MANIFEST]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(json_values, json_values)
def test_anything_is_evidence_or_refused(signatures: Any, indexes: Any) -> None:
    text = json.dumps({"version": 1, "signatures": signatures, "documents": indexes})
    try:
        evidence.parse(text.encode())
    except SignatureRefusal as error:
        assert str(error).isprintable()
    evidence.listed(json.dumps(signatures).encode())


def test_an_index_leads_to_what_it_lists_directly_or_through_others() -> None:
    inner = index(MANIFEST)
    outer = index("sha256:" + "2" * 64, Digest.of(inner))
    both = {Digest.of(each): each for each in (inner, outer)}
    assert evidence.way(MANIFEST, MANIFEST, {}) == [MANIFEST]
    assert evidence.way(Digest.of(inner), MANIFEST, both) == [Digest.of(inner), MANIFEST]
    assert evidence.way(Digest.of(outer), MANIFEST, both) == [Digest.of(outer), Digest.of(inner), MANIFEST]
    assert evidence.way(Digest.of(outer), MANIFEST, {Digest.of(outer): outer}) is None
    assert evidence.way(Digest.of(inner), "sha256:" + "3" * 64, both) is None
    assert evidence.way("sha256:" + "4" * 64, MANIFEST, {"sha256:" + "4" * 64: inner}) is None, "of another digest"


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"manifests": 1}', index(MANIFEST, layers=[]), index(MANIFEST, config={}),
             b'{"manifests": [], "manifests": [{"digest": "%s"}]}' % MANIFEST.encode()],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_leads_nowhere(data: bytes) -> None:
    assert evidence.way(Digest.of(data), MANIFEST, {Digest.of(data): data}) is None
