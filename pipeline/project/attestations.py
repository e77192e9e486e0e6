"""Signatures, provenance and bills of materials of what was pushed, beside it in its registry, as cosign 3 has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
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
    from pipeline.oci.push import Description
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
        sign_legacy(store, key, pushed, reference)
    statement = _signature(pushed)
    return _attach_bundle(store, statement, reference, signing.bundle(key, statement.payload))


def sign_legacy(store: Store, key: PrivateKey, pushed: Digest, reference: str) -> None:
    """Signs what was pushed as `reference` under cosign's tag `sha256-HEX.sig`. Its repository's name is signed."""
    from pipeline.oci.attach import attach_simple_signature

    payload = signing.legacy_payload(pushed, _repository(reference))
    signature = base64.b64encode(signing.sign(key, payload)).decode()
    attach_simple_signature(store, pushed, reference, payload, signature)


class NotTheSame(NodekilnError):
    """The pushed node is not the one that this checkout makes."""


def endorse(store: Store, key: PrivateKey, node: NodeArtifact, files: Mapping[str, PushedFiles]) -> None:
    """Adds signatures by `key` to a pushed node whose files are all equal to `files` (by architecture). NotTheSame."""
    for arch in sorted({*node.files, *files}):
        theirs = {name: blob.digest for name, blob in node.files.get(arch, {}).items()}
        ours = {name: sha256(store, content) for name, content in files[arch].files.items()} if arch in files else {}
        differing = [name for name in sorted({*theirs, *ours}) if theirs.get(name) != ours.get(name)]
        if differing:
            fault = f"{differing[0]} ({arch}) is not the one that a push of this checkout has"
            raise NotTheSame(f"{node.reference}: {fault}: not endorsed")
    stated = statements(store, node.digest, node.manifests, files)
    attach_all(store, _repository(node.reference), stated, bundles(key, stated))


class Bill(NamedTuple):
    """A bill of materials as a file: its name, its media type, and what is in it."""

    name: str
    media_type: str
    data: bytes


class Statement(NamedTuple):
    """A statement about the manifest or index `subject`.

    title: of the statement, for people. payload: in JSON. bill: the file that is its predicate.
    """

    subject: Digest
    title: str
    predicate_type: str
    payload: bytes
    bill: Bill | None = None


def statements(
    store: Store, pushed: Digest, manifests: Mapping[str, Digest], files: Mapping[str, PushedFiles]
) -> list[Statement]:
    """Returns what a push states of itself: provenance and bills of each manifest, the signature of the index `pushed`.

    manifests, files: by architecture. No statement has the name of a registry, so they are the same wherever they go.
    """
    found = []
    for arch, manifest in sorted(manifests.items()):
        payload = provenance.statement_of(files[arch].record, files[arch].dependencies, {"": manifest})
        title = f"the provenance of {arch or 'the node'}"
        found.append(Statement(manifest, title, provenance.PREDICATE_TYPE, payload))
        found += _bills(store, arch, manifest, files[arch])
    return [*found, _signature(pushed)]


def statements_of(store: Store, described: Description, files: Mapping[str, PushedFiles]) -> list[Statement]:
    """Returns what a push states of itself, before it is sent."""
    manifests = {arch: Digest.of(data) for arch, data in described.manifests.items()}
    return statements(store, Digest.of(described.index_bytes), manifests, files)


def _signature(pushed: Digest) -> Statement:
    return Statement(pushed, f"the digest {pushed}", SIGNATURE, signing.payload(pushed))


def _bills(store: Store, arch: str, manifest: Digest, files: PushedFiles) -> Iterator[Statement]:
    """Yields the statements that the bills of materials among `files` are of their manifest."""
    for form, types in BILLS.items():
        for name in files.formats.get(form, ()):
            data = store.bytes(files.files[name])
            payload = _bill_payload(data, types.predicate, manifest)
            title = f"{name} of {arch or 'the node'}"
            yield Statement(manifest, title, types.predicate, payload, Bill(name, types.media, data))


def _bill_payload(bill: bytes, predicate_type: str, manifest: Digest) -> bytes:
    """Returns the statement that a bill of materials (JSON) is of the manifest `manifest`, in canonical JSON."""
    subject = {"name": "", "digest": {manifest.algorithm: manifest.hex}}
    fields = {"_type": TYPES[0], "predicateType": predicate_type, "predicate": json.loads(bill)}
    return document.canonical({**fields, "subject": [subject]})


def bundles(key: PrivateKey, statements: Sequence[Statement]) -> list[bytes]:
    """Returns the statements, each signed by `key`."""
    return [signing.bundle(key, each.payload) for each in statements]


def attach_all(store: Store, reference: str, statements: Sequence[Statement], bundles: Sequence[bytes]) -> None:
    """Attaches statements to what was pushed as `reference`: the bundle of each, or all unsigned if there are none.

    Bills of materials are attached as they are, too. A signature without a bundle is nothing, and is left out.
    """
    from pipeline.oci.attach import attach

    for each, bundle in zip_longest(statements, bundles):
        if each.bill is not None:
            attach(store, each.subject, reference, each.bill.media_type, each.bill.data, title=each.bill.name)
        if bundle is not None:
            _attach_bundle(store, each, reference, bundle)
        elif each.bill is None and each.predicate_type != SIGNATURE:
            annotations = {STATEMENT_TYPE: each.predicate_type}
            attach(store, each.subject, reference, PAYLOAD_TYPE, each.payload, annotations)


def _repository(reference: str) -> str:
    """Returns the name of a reference's repository, with its registry."""
    from pipeline.oci.reference import parse

    target = parse(reference)
    return f"{target.registry}/{target.repository}"


def _attach_bundle(store: Store, statement: Statement, reference: str, bundle: bytes) -> Digest:
    """Attaches a statement, signed, to its subject."""
    from pipeline.oci.attach import attach

    annotations = {CONTENT: "dsse-envelope", PREDICATE_TYPE: statement.predicate_type}
    return attach(store, statement.subject, reference, signing.MEDIA_TYPE, bundle, annotations)
