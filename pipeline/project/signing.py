"""Signing of a node's EFI programs: what has to be signed, and the file of signatures.

A key in a file and a signer elsewhere go the same way: both add to specs/NAME.signatures, which builds read.
pipeline.project.push_signing has the requests of pushes, whose signatures go into the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
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

SUFFIX = ".tbs"
"""Suffix of the file of a request: the attributes of a program, to be signed."""
LARGEST_SIGNATURE = 1 << 16
"""Maximum size of a file with one signature, in bytes."""


class Request(NamedTuple):
    """Bytes to sign.

    digest: their SHA-256 (sha256:…). title: of what they are about. signer: name of who has to sign. suffix: of the
    request's file. verifies: returns whether a signature is one of these bytes by the signer.
    """

    digest: str
    data: bytes
    title: str
    signer: str
    suffix: str
    verifies: Callable[[bytes], bool]


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

    The programs are built if need be. BadInput if nobody signs them, or no format has an EFI program.
    """
    certificate = signer(project, name).certificate
    found: dict[str, Request] = {}
    programs: dict[str, list[str]] = {}
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
            programs.setdefault(digest, []).append(title)
            title = f"{', '.join(programs[digest])}; Authenticode {facts['authenticode']}"
            verifies = partial(_is_signed, certificate, hashlib.sha256(attributes).digest())
            found[digest] = Request(digest, attributes, title, certificate.subject, SUFFIX, verifies)
    if not found:
        raise BadInput(f"{project.path(name)}: no format has an EFI program to sign: build: {{formats: [qcow2-efi]}}")
    return list(found.values())


def _is_signed(certificate: x509.Certificate, digest: bytes, signature: bytes) -> bool:
    return certificate.verifies(signature, digest)


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
        each.digest: signing_keys.sign(source, found.certificate, each.data) for each in requests(project, name)
    }
    return _add(project, name, signing.Signatures(signatures, {}))


def unsigned(project: Project, name: str, wanted: Sequence[Request]) -> list[Request]:
    """Returns those requests of EFI programs whose signature is not in the file of signatures. Problems."""
    known = signing.signatures(file(project, name)).programs
    return [each for each in wanted if each.digest not in known or not each.verifies(known[each.digest])]


def write_request(request: Request, folder: Path) -> Path:
    """Writes a request into `folder`, as the hexadecimal digits of its digest and its suffix; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{request.digest.partition(':')[2]}{request.suffix}"
    atomic.write(path, request.data)
    return path


def attach(project: Project, name: str, source: Path, programs: Sequence[Request], pushes: Sequence[Request]) -> Path:
    """Takes signatures of `programs` and `pushes` from `source`, and returns the file of signatures.

    source: a file of signatures, a signature alone (raw bytes), or a folder with *.sig. A signature alone belongs to
    the request that it verifies. BadInput, and nothing is written, if one belongs to none.
    """
    certificate = signer(project, name).certificate if programs else None
    paths = sorted(source.glob("*.sig")) if source.is_dir() else [source]
    if not paths:
        raise BadInput(f"{source}: there is no *.sig in it")
    taken = [_taken(path, certificate, programs, pushes) for path in paths]
    merged = ({digest: value for table in tables for digest, value in table.items()}
              for tables in zip(*taken, strict=True))  # fmt: skip
    return _add(project, name, signing.Signatures(*merged))


def _taken(
    path: Path, certificate: x509.Certificate | None, programs: Sequence[Request], pushes: Sequence[Request]
) -> signing.Signatures:
    """The signatures in a file, all verified. BadInput."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    tables = [
        {each.digest: data for each in wanted if len(data) <= LARGEST_SIGNATURE and each.verifies(data)}
        for wanted in (programs, pushes)
    ]
    if not any(tables):
        if data.isascii() and data.lstrip().startswith(b"{"):  # a signature alone may begin so, too
            return _table(path, certificate, programs, pushes)
        signers = " or ".join(dict.fromkeys(each.signer for each in (*programs, *pushes)))
        raise BadInput(f"{path}: no signature by {signers} of what has to be signed")
    return signing.Signatures(*tables)


def _table(
    path: Path, certificate: x509.Certificate | None, programs: Sequence[Request], pushes: Sequence[Request]
) -> signing.Signatures:
    """The signatures in a file of them: of programs all; of pushes, those whose statements are known. BadInput."""
    try:
        signatures = signing.signatures(path)
    except Problems as error:
        raise BadInput(str(error)) from None
    for digest, signature in signatures.programs.items() if certificate else ():
        if certificate and not certificate.verifies(signature, bytes.fromhex(digest.partition(":")[2])):
            raise _not_by(path, digest, certificate.subject)
    known = {each.digest: each for each in pushes if each.digest in signatures.pushes}
    for digest, each in known.items():
        if not each.verifies(signatures.pushes[digest]):
            raise _not_by(path, digest, each.signer)
    if not known and not signatures.programs.keys() & {each.digest for each in programs}:
        raise BadInput(f"{path}: no signature of what has to be signed")
    verified = signatures.programs if certificate else {}
    return signing.Signatures(verified, {digest: signatures.pushes[digest] for digest in known})


def _not_by(path: Path, digest: str, signer: str) -> BadInput:
    return BadInput(f"{path}: the signature of {digest} is not one by {signer}")


def file(project: Project, name: str) -> Path:
    """The file of the signatures of the spec `name`, which need not be there."""
    return project.root / signing.path(project.load(name))


def _add(project: Project, name: str, signatures: signing.Signatures) -> Path:
    """Adds to the file of signatures, which keeps those of earlier builds."""
    path = file(project, name)
    known = signing.signatures(path)
    programs, pushes = {**known.programs, **signatures.programs}, {**known.pushes, **signatures.pushes}
    atomic.write(path, signing.text(signing.Signatures(programs, pushes)))
    return path


def _file(store: Store, tree: Digest, name: str) -> bytes:
    return store.bytes(store.tree(tree).file(name).content)
