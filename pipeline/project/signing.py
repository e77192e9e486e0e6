"""Signing of a node's EFI programs: what has to be signed, and the file of its signatures.

A key in a file and a signer elsewhere go the same way: both add to specs/NAME.signatures, which builds read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.engine.action import with_results
from pipeline.host import atomic
from pipeline.host.user_command import user_command
from pipeline.language.problem import Problems
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.ondisk import x509
from pipeline.planning import signing
from pipeline.planning.plan import Plan
from pipeline.project.project import Project
from pipeline.store import Store

LARGEST_SIGNATURE = 1 << 16
"""Maximum size of a file with one signature, in bytes."""


class Request(NamedTuple):
    """Bytes to sign. digest: their SHA-256 (sha256:…). image: the program's Authenticode hash. programs: formats."""

    digest: str
    attributes: bytes
    image: str
    programs: tuple[str, ...]


def records(store: Store, plan: Plan, name: str) -> dict[str, Any]:
    """The entry `programs` of a format in manifest.json: format of the program -> stages.signed.record's facts."""
    actions = tuple(plan.records(name))
    return with_results(store, actions, lambda *results: {
        action.name.rpartition("/")[2]: json.loads(_file(store, result, "record.json"))
        for action, result in zip(actions, results, strict=True)
    })  # fmt: skip


def signer(project: Project, name: str, now: datetime | None = None) -> signing.Signer:
    """The signer of the spec `name`. BadInput if it names none, or the certificate is not valid now."""
    found = project.targets(name)[0].plan.signer
    if found is None:
        raise BadInput(f"{project.path(name)}: nobody signs: build: {{sign: {{certificate: keys/db.pem}}}}")
    certificate, now = found.certificate, now or datetime.now(UTC)
    if not certificate.not_before <= now <= certificate.not_after:
        span = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
        raise BadInput(f"{project.path(name)}: the certificate {certificate.subject} is valid from {span}, not now")
    return found


def requests(project: Project, name: str) -> list[Request]:
    """Returns what has to be signed for all architectures and formats of the spec `name`.

    The programs are built if need be. BadInput if no format has an EFI program.
    """
    found: dict[str, Request] = {}
    for target in project.targets(name):
        formats = target.spec.build.formats
        plan = target.locked(*formats)
        actions = {each.key: each for form in formats for each in plan.records(form)}
        results = with_results(project.store, tuple(actions.values()), lambda *results: [
            (json.loads(_file(project.store, each, "record.json")), _file(project.store, each, "attributes"))
            for each in results
        ])  # fmt: skip
        for action, (facts, attributes) in zip(actions.values(), results, strict=True):
            title = f"{target.prefix}{action.name.rpartition('/')[2]}"
            digest = facts["signed-attributes"]
            known = found[digest].programs if digest in found else ()
            found[digest] = Request(digest, attributes, facts["authenticode"], (*known, title))
    if not found:
        raise BadInput(f"{project.path(name)}: no format has an EFI program to sign: build: {{formats: [qcow2-efi]}}")
    return list(found.values())


def sign(project: Project, name: str) -> Path:
    """Signs with the key that the spec names, and returns the file of signatures. BadInput."""
    from pipeline.project import signing_keys
    from pipeline.stages import files

    found, spec = signer(project, name), project.load(name)
    key = spec.build.sign and spec.build.sign.key
    if not key:
        mends = f"{user_command(f'sign:{name} --request DIR')}, sign what is in DIR, then --attach it"
        raise BadInput(f"{project.path(name)}: build.sign names no key: {mends}")
    source = Path(files.expanded(files.find_source(key, Path(spec.folder)) or key))
    signatures = {
        each.digest: signing_keys.sign(source, found.certificate, each.attributes) for each in requests(project, name)
    }
    return _add(project, name, signatures)


def write_requests(project: Project, name: str, folder: Path) -> list[tuple[Request, Path]]:
    """Writes each request into `folder`, as DIGEST.tbs, and returns it with its file."""
    signer(project, name)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for each in requests(project, name):
        path = folder / f"{each.digest.partition(':')[2]}.tbs"
        atomic.write(path, each.attributes)
        written.append((each, path))
    return written


def attach(project: Project, name: str, source: Path) -> Path:
    """Takes signatures from `source`, and returns the file of signatures.

    source: a file of signatures, a signature alone (raw bytes), or a folder with *.sig. A signature alone belongs to
    the request that it verifies. BadInput, and nothing is written, if one belongs to none.
    """
    certificate, wanted = signer(project, name).certificate, requests(project, name)
    paths = sorted(source.glob("*.sig")) if source.is_dir() else [source]
    if not paths:
        raise BadInput(f"{source}: there is no *.sig in it")
    signatures: dict[str, bytes] = {}
    for path in paths:
        signatures |= _taken(path, certificate, wanted)
    return _add(project, name, signatures)


def _taken(path: Path, certificate: x509.Certificate, wanted: Sequence[Request]) -> dict[str, bytes]:
    """The signatures in a file, all verified. BadInput."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    if data.lstrip().startswith(b"{"):
        return _table(path, certificate, wanted)
    for each in wanted:
        if len(data) <= LARGEST_SIGNATURE and certificate.verifies(data, _sha256(each)):
            return {each.digest: data}
    raise BadInput(f"{path}: no signature by {certificate.subject} of what has to be signed")


def _table(path: Path, certificate: x509.Certificate, wanted: Sequence[Request]) -> dict[str, bytes]:
    try:
        signatures = signing.signatures(path)
    except Problems as error:
        raise BadInput(str(error)) from None
    for digest, signature in signatures.items():
        if not certificate.verifies(signature, bytes.fromhex(digest.partition(":")[2])):
            raise BadInput(f"{path}: the signature of {digest} is not one by {certificate.subject}")
    if not signatures.keys() & {each.digest for each in wanted}:
        raise BadInput(f"{path}: no signature of what has to be signed")
    return signatures


def _sha256(request: Request) -> bytes:
    return hashlib.sha256(request.attributes).digest()


def _add(project: Project, name: str, signatures: Mapping[str, bytes]) -> Path:
    """Adds to the file of signatures, which keeps those of earlier builds."""
    path = project.root / signing.path(project.load(name))
    atomic.write(path, signing.text({**signing.signatures(path), **signatures}))
    return path


def _file(store: Store, tree: Digest, name: str) -> bytes:
    return store.bytes(store.tree(tree).file(name).content)
