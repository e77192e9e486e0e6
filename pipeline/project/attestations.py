"""Signatures and provenance of what was pushed, beside it in its registry, as cosign 3 writes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.incremental import sha256
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project import provenance
from pipeline.store import Store
from pipeline.trust import signing
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.statement import PAYLOAD_TYPE, SIGNATURE

if TYPE_CHECKING:
    from pipeline.oci.artifact import NodeArtifact
    from pipeline.project.pushing import PushedFiles
    from pipeline.trust.signing import PrivateKey

CONTENT, PREDICATE_TYPE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
"""Annotations of a bundle's manifest: the part of the bundle that has the content, and the type of its statement."""
STATEMENT_TYPE = "in-toto.io/predicate-type"
"""Annotation of a statement's manifest without a signature: the type of the statement (BuildKit's)."""


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
    attach_provenance(store, key, node.digest, repository, files)
    sign(store, key, node.digest, repository)


def attach_provenance(
    store: Store, key: PrivateKey | None, pushed: Digest, reference: str, files: Mapping[str, PushedFiles]
) -> None:
    """Attaches to each manifest of what was pushed the provenance of its files, signed if there is a key.

    files: architecture -> what was pushed for it. The manifest is a subject of the statement, too.
    """
    from pipeline.oci import artifact
    from pipeline.oci.attach import attach

    repository = _repository(reference)
    node = artifact.find(f"{repository}@{pushed}")
    for arch, manifest in sorted(node.manifests.items() if node else ()):
        record, dependencies = files[arch].record, files[arch].dependencies
        payload = provenance.statement_of(record, dependencies, {repository: manifest})
        if key is not None:
            _attach_bundle(store, key, manifest, reference, payload, provenance.PREDICATE_TYPE)
        else:
            annotations = {STATEMENT_TYPE: provenance.PREDICATE_TYPE}
            attach(store, manifest, reference, PAYLOAD_TYPE, payload, annotations)


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
