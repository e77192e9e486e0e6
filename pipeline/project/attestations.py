"""Signatures, provenance and bills of materials of what was pushed, beside it in its registry, as cosign 3 has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.incremental import sha256
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project import provenance
from pipeline.store import Store
from pipeline.trust import document, signing
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.statement import PAYLOAD_TYPE, SIGNATURE, TYPES

if TYPE_CHECKING:
    from pipeline.oci.artifact import NodeArtifact
    from pipeline.project.pushing import PushedFiles
    from pipeline.trust.signing import PrivateKey

CONTENT, PREDICATE_TYPE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
"""Annotations of a bundle's manifest: the part of the bundle that has the content, and the type of its statement."""
STATEMENT_TYPE = "in-toto.io/predicate-type"
"""Annotation of a statement's manifest without a signature: the type of the statement (BuildKit's)."""


class BillTypes(NamedTuple):
    """The types of a bill of materials. media: of its file. predicate: of the statement that has it."""

    media: str
    predicate: str


BILLS: Mapping[str, BillTypes] = {
    "cyclonedx": BillTypes("application/vnd.cyclonedx+json", "https://cyclonedx.org/bom"),
    "spdx": BillTypes("application/spdx+json", "https://spdx.dev/Document"),
}
"""Formats that are bills of materials -> their types (IANA's media types; in-toto attestation, spec/predicates)."""


def signer(file: str, legacy: bool = False) -> PrivateKey | None:
    """Returns the private key in the file of the option --sign; None without it. BadInput."""
    if not file:
        if legacy:
            raise BadInput("--sign-legacy is about a signature: add --sign KEY")
        return None
    try:
        return signing.load(Path(file).read_bytes())
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    except SignatureRefusal as error:
        raise BadInput(f"{file}: {error}") from None


def sign(store: Store, key: PrivateKey, pushed: Digest, reference: str, legacy: bool = False) -> Digest:
    """Signs what was pushed as `reference`; returns the digest of the signature's manifest.

    pushed: its digest. legacy: the signature is under cosign's tag `sha256-HEX.sig`, too.
    """
    if legacy:
        from pipeline.oci.attach import attach_simple_signature

        payload = signing.legacy_payload(pushed, _repository(reference))
        signature = base64.b64encode(signing.sign(key, payload)).decode()
        attach_simple_signature(store, pushed, reference, payload, signature)
    return _attach_bundle(store, key, pushed, reference, signing.payload(pushed), SIGNATURE)


class NotTheSame(NodekilnError):
    """What was pushed is not what this checkout makes."""


def endorse(store: Store, key: PrivateKey, node: NodeArtifact, files: Mapping[str, PushedFiles]) -> None:
    """Adds signatures by `key` to a pushed node whose files are all equal to `files` (by architecture). NotTheSame."""
    for arch in sorted({*node.files, *files}):
        theirs = {name: blob.digest for name, blob in node.files.get(arch, {}).items()}
        ours = {name: sha256(store, content) for name, content in files[arch].files.items()} if arch in files else {}
        differing = [name for name in sorted({*theirs, *ours}) if theirs.get(name) != ours.get(name)]
        if differing:
            fault = f"{differing[0]} ({arch}) is not the one that a push of this checkout has"
            raise NotTheSame(f"{node.reference}: {fault}: not endorsed")
    repository = _repository(node.reference)
    attach_statements(store, key, node.digest, repository, files)
    sign(store, key, node.digest, repository)


def attach_statements(
    store: Store, key: PrivateKey | None, pushed: Digest, reference: str, files: Mapping[str, PushedFiles]
) -> None:
    """Attaches to each manifest of what was pushed the provenance of its files, and the bills of materials among them.

    key: signs them; without it, nothing is signed. files: architecture -> what was pushed for it.
    """
    from pipeline.oci import artifact

    repository = _repository(reference)
    node = artifact.find(f"{repository}@{pushed}")
    for arch, manifest in sorted(node.manifests.items() if node else ()):
        _attach_provenance(store, key, manifest, repository, files[arch])
        _attach_bills(store, key, manifest, repository, files[arch])


def _attach_provenance(
    store: Store, key: PrivateKey | None, manifest: Digest, repository: str, files: PushedFiles
) -> None:
    """Attaches the provenance of `files` to the manifest that has them, which is a subject of the statement, too."""
    from pipeline.oci.attach import attach

    payload = provenance.statement_of(files.record, files.dependencies, {repository: manifest})
    if key is not None:
        _attach_bundle(store, key, manifest, repository, payload, provenance.PREDICATE_TYPE)
    else:
        annotations = {STATEMENT_TYPE: provenance.PREDICATE_TYPE}
        attach(store, manifest, repository, PAYLOAD_TYPE, payload, annotations)


def _attach_bills(store: Store, key: PrivateKey | None, manifest: Digest, repository: str, files: PushedFiles) -> None:
    """Attaches the bills of materials among `files` as they are and, if there is a key, as signed statements."""
    from pipeline.oci.attach import attach

    for name, types in _bills(files):
        bill = store.bytes(files.files[name])
        attach(store, manifest, repository, types.media, bill, title=name)
        if key is not None:
            payload = _bill_statement(bill, types.predicate, repository, manifest)
            _attach_bundle(store, key, manifest, repository, payload, types.predicate)


def _bills(files: PushedFiles) -> Iterator[tuple[str, BillTypes]]:
    """Yields the bills of materials among `files`: name of the file, and its types."""
    for form, types in BILLS.items():
        for name in files.formats.get(form, ()):
            yield name, types


def _bill_statement(bill: bytes, predicate_type: str, repository: str, manifest: Digest) -> bytes:
    """Returns the statement that a bill of materials (JSON) is of the manifest `manifest`, in canonical JSON."""
    subject = {"name": repository, "digest": {manifest.algorithm: manifest.hex}}
    fields = {"_type": TYPES[0], "predicateType": predicate_type, "predicate": json.loads(bill)}
    return document.canonical({**fields, "subject": [subject]})


def _repository(reference: str) -> str:
    """Returns the name of a reference's repository, with its registry."""
    from pipeline.oci.reference import parse

    target = parse(reference)
    return f"{target.registry}/{target.repository}"


def _attach_bundle(
    store: Store, key: PrivateKey, pushed: Digest, reference: str, payload: bytes, predicate_type: str
) -> Digest:
    """Attaches the statement `payload`, signed, to what was pushed."""
    from pipeline.oci.attach import attach

    annotations = {CONTENT: "dsse-envelope", PREDICATE_TYPE: predicate_type}
    bundle = signing.bundle(key, payload)
    return attach(store, pushed, reference, signing.MEDIA_TYPE, bundle, annotations)
