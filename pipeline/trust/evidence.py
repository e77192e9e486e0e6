"""Evidence: signatures as they were found, and the documents that lead from what was signed to what is built.

`specs/NAME.evidence` has them beside the lock, so that a build verifies without a network. Sorted JSON:

    signatures    digest of the signature's entry -> mediaType, contents (base64), and cosign's annotations
    documents     digest of an index or manifest -> its bytes (base64)
    bills         digest of a bill of materials -> its bytes (base64); there only if there are some
    version       1
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from pipeline.model import json_object
from pipeline.model.digest import Digest, canonical_json, is_digest
from pipeline.trust.error import SignatureRefusal

VERSION = 1
LARGEST_FILE = 1 << 27
"""Maximum size of a file of evidence, in bytes."""

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
Kind = Literal["sigstore", "cosign", "notation"]
BUNDLES: Mapping[str, str] = {
    **{f"application/vnd.dev.sigstore.bundle+json;version={version}": version for version in ("0.1", "0.2", "0.3")},
    BUNDLE: "0.3",
}
"""Media types of sigstore's bundles -> their version (protobuf-specs, sigstore_bundle.proto)."""
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(BUNDLES, "sigstore"),
    SIMPLE_SIGNING: "cosign",
    "application/jose+json": "notation",
    "application/cose": "notation",
}
"""Media types of signatures -> what verifies them."""
ANNOTATIONS = (
    "dev.cosignproject.cosign/signature",
    "dev.sigstore.cosign/certificate",
    "dev.sigstore.cosign/chain",
    "dev.sigstore.cosign/bundle",
    "dev.sigstore.cosign/rfc3161timestamp",
)
"""Annotations of a layer that are parts of cosign's signature (SIGNATURE_SPEC.md)."""


class Evidence(NamedTuple):
    """A signature: its blob, its media type, and those ANNOTATIONS that it has."""

    media_type: str
    data: bytes
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> Kind:
        return KINDS[self.media_type]

    @property
    def digest(self) -> Digest:
        """The digest of the signature's entry in a file of evidence."""
        return Digest.of(canonical_json(self.document()))

    def document(self) -> dict[str, Any]:
        """Returns the signature's entry in a file of evidence."""
        data = base64.b64encode(self.data).decode()
        return {"annotations": dict(self.annotations), "contents": data, "mediaType": self.media_type}


class EvidenceFile(NamedTuple):
    """The content of a file of evidence."""

    signatures: Mapping[str, Evidence] = {}
    documents: Mapping[str, bytes] = {}
    bills: Mapping[str, bytes] = {}

    def only(self, digests: Iterable[str]) -> EvidenceFile:
        """Returns the entries under `digests`."""
        kept = {*digests}
        return EvidenceFile(
            {digest: each for digest, each in self.signatures.items() if digest in kept},
            {digest: each for digest, each in self.documents.items() if digest in kept},
            {digest: each for digest, each in self.bills.items() if digest in kept},
        )

    def joined(self, other: EvidenceFile) -> EvidenceFile:
        """Returns the entries of both."""
        return EvidenceFile(
            {**self.signatures, **other.signatures},
            {**self.documents, **other.documents},
            {**self.bills, **other.bills},
        )

    def text(self) -> str:
        """Returns the text of the file."""
        document = {
            "version": VERSION,
            "signatures": {digest: each.document() for digest, each in self.signatures.items()},
            "documents": _encoded(self.documents),
        } | ({"bills": _encoded(self.bills)} if self.bills else {})
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


def parse(unsafe_data: bytes) -> EvidenceFile:
    """Returns the content of a file of evidence; every entry has its digest. SignatureRefusal."""
    if len(unsafe_data) > LARGEST_FILE:
        raise SignatureRefusal(f"larger than {LARGEST_FILE} bytes")
    try:
        document = json.loads(unsafe_data, object_pairs_hook=json_object.unique)
    except (ValueError, RecursionError) as error:
        raise SignatureRefusal(f"not JSON ({error})") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise SignatureRefusal(f"an object of version {VERSION} belongs here")
    signatures = {digest: parse_entry(each) for digest, each in _table(document, "signatures").items()}
    documents = {digest: _bytes(each) for digest, each in _table(document, "documents").items()}
    wrong = [digest for digest, each in signatures.items() if each.digest != digest]
    bills = {digest: _bytes(each) for digest, each in _table({"bills": {}} | document, "bills").items()}
    wrong += [digest for digest, data in {**documents, **bills}.items() if not has_digest(data, digest)]
    if wrong:
        raise SignatureRefusal(f"{wrong[0]} has another digest")
    return EvidenceFile(signatures, documents, bills)


def parse_entry(unsafe: object) -> Evidence:
    """Returns the signature of an entry. SignatureRefusal."""
    if not isinstance(unsafe, dict) or unsafe.keys() != {"annotations", "contents", "mediaType"}:
        raise SignatureRefusal("a signature is an object with annotations, contents and mediaType")
    media_type, annotations = unsafe["mediaType"], unsafe["annotations"]
    if not isinstance(media_type, str) or media_type not in KINDS:
        raise SignatureRefusal(f"{str(media_type)[:80]!a} is not the media type of a signature")
    if not isinstance(annotations, dict) or not annotations.keys() <= {*ANNOTATIONS}:
        raise SignatureRefusal("a signature has annotations that are none of cosign's")
    if not all(isinstance(value, str) for value in annotations.values()):
        raise SignatureRefusal("an annotation is not a string")
    return Evidence(media_type, _bytes(unsafe["contents"]), tuple(sorted(annotations.items())))


def has_digest(data: bytes, digest: str) -> bool:
    """Returns whether `data` has this digest, by its algorithm."""
    algorithm, _, hexadecimal = digest.partition(":")
    return hashlib.new(algorithm, data).hexdigest() == hexadecimal


def way(subject: str, manifest: str, documents: Mapping[str, bytes]) -> list[str] | None:
    """Returns the digests from `subject` to `manifest`: equal ones, or indexes each of which lists the next.

    documents: bytes by digest, which is checked. None if there is no such way.
    """
    todo, reached = [[subject]], set[str]()
    while todo:
        path = todo.pop()
        if path[-1] == manifest:
            return path
        data = documents.get(path[-1], b"")
        if path[-1] not in reached and has_digest(data, path[-1]):
            reached.add(path[-1])
            todo += [[*path, each] for each in listed(data)]
    return None


def listed(unsafe_index: bytes) -> list[str]:
    """Returns the digests that an index lists; [] for anything else."""
    try:
        document = json.loads(unsafe_index, object_pairs_hook=json_object.unique)
    except (ValueError, RecursionError):
        return []
    entries = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(entries, list) or "layers" in document or "config" in document:
        return []
    return [each["digest"] for each in entries if isinstance(each, dict) and is_digest(each.get("digest"))]


def _encoded(table: Mapping[str, bytes]) -> dict[str, str]:
    return {digest: base64.b64encode(each).decode() for digest, each in table.items()}


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    unsafe_table = document.get(name)
    if not isinstance(unsafe_table, dict) or not all(map(is_digest, unsafe_table)):
        raise SignatureRefusal(f"{name} by digest belong here")
    return unsafe_table


def _bytes(unsafe_text: object) -> bytes:
    if not isinstance(unsafe_text, str):
        raise SignatureRefusal("data in base64 belong here")
    try:
        return base64.b64decode(unsafe_text, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureRefusal("data that are not base64") from None
