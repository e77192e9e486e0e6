"""Signing of what a push of a spec's results brings into a registry, by the key that `build.sign.push` names.

What is signed are statements about digests (pipeline.project.attestations), so it is known before the push, and the
same wherever it goes. Signatures made elsewhere are in the file of signatures (pipeline.project.signing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.planning import signing as signatures
from pipeline.project import attestations, pushing, signing
from pipeline.project.attestations import Statement
from pipeline.project.project import Project
from pipeline.project.pushing import PushedFiles
from pipeline.trust import keys
from pipeline.trust import signing as bundles
from pipeline.trust.error import SignatureRefusal

SUFFIX = ".pae"
"""Suffix of the file of a request: a statement as an envelope encodes it (DSSE protocol, PAE), to be signed."""


class PushSigner(NamedTuple):
    """The signer of pushes. file: name of the public key's file."""

    file: str
    key: keys.PublicKey


def signer(project: Project, name: str) -> PushSigner | None:
    """Returns the signer of pushes of the spec `name`; None if the spec names none. BadInput; Problems."""
    found = signatures.push_key(project.load(name))
    if found is None:
        return None
    data, file = found
    try:
        return PushSigner(file, bundles.load_public(data))
    except SignatureRefusal as error:
        raise BadInput(f"{project.path(name)}: build.sign.push: {file}: {error}") from None


def check(project: Project, name: str, signer: PushSigner | None, key: bundles.PrivateKey | None, formats: str) -> None:
    """BadInput if the spec has pushes signed by `signer`, and neither `key` (of --sign) nor the file of signatures can.

    formats: those of the push, by commas; "" for the spec's, which the stored signatures are of.
    """
    if signer is None:
        return
    if key is not None and keys.digest(key.public_key()) != keys.digest(signer.key):
        raise BadInput(f"{project.path(name)}: build.sign.push: --sign is not the private key of {signer.file}")
    if key is None and formats:
        raise BadInput(f"{project.path(name)}: build.sign.push: signatures are of all formats: leave out --formats")


def requests(project: Project, name: str, signer: PushSigner) -> list[signing.Request]:
    """Returns what has to be signed of a push of the spec's formats, which are built if need be."""

    def statements(files: Mapping[str, PushedFiles]) -> Sequence[Statement]:
        return attestations.statements_of(project.store, pushing.describe(project.store, name, files), files)

    found = []
    for each in pushing.with_files(project, name, "", statements)():
        data = bundles.to_sign(each.payload)
        verifies = partial(_is_signed, signer.key, data)
        found.append(signing.Request(Digest.of(data), data, each.title, signer.file, SUFFIX, verifies))
    return found


def bundles_of(project: Project, name: str, signer: PushSigner, statements: Sequence[Statement]) -> list[bytes]:
    """Returns the bundles of statements, of the signatures in the spec's file. NodekilnError if one is missing."""
    path = signing.file(project, name)
    known, made = signatures.signatures(path).pushes, []
    for each in statements:
        signature = known.get(Digest.of(bundles.to_sign(each.payload)))
        try:
            if signature is None:
                raise SignatureRefusal("there is none")
            made.append(bundles.assemble(each.payload, signer.key, signature))
        except SignatureRefusal as error:
            ways = f"{user_command(f'sign:{name} --request DIR')}, then --attach; or --sign KEY"
            place, fault = path.relative_to(project.root), f"no signature by {signer.file} of {each.title}: {error}"
            raise NodekilnError(f"{place}: {fault} ({ways})") from None
    return made


def _is_signed(key: keys.PublicKey, data: bytes, signature: bytes) -> bool:
    try:
        keys.verify(key, signature, data)
    except SignatureRefusal:
        return False
    return True
