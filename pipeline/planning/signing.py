"""Signers of a spec: its certificate, and the signatures in specs/NAME.signatures, which formats get as a parameter.

The file is sorted JSON with a signature a line, each under the digest of what it signs, so that one for other bytes is
never taken: `{"signatures": {"sha256:…": "BASE64"}, "version": 1}`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import containment, tracked
from pipeline.host.user_command import user_command
from pipeline.language.document import problem_at
from pipeline.language.problem import Problem, Problems
from pipeline.model.digest import is_digest
from pipeline.ondisk import x509
from pipeline.spec.spec import Spec
from pipeline.stages import files, signed

VERSION = 1
LARGEST_FILE = 1 << 24
"""Maximum size of a file of signatures, in bytes: room for more than 20 000."""


class Signer(NamedTuple):
    """A signer. signatures: digest of the signed attributes (sha256:…) -> the signature."""

    certificate: x509.Certificate
    signatures: Mapping[str, bytes]

    def parameter(self) -> dict[str, Any]:
        """The signer as stages.signed takes it, in JSON."""
        return {
            "version": signed.VERSION,
            "certificate": base64.b64encode(self.certificate.encoding).decode(),
            "signatures": {digest: base64.b64encode(each).decode() for digest, each in self.signatures.items()},
        }


def path(spec: Spec) -> Path:
    """The file of the spec's signatures, which need not be there."""
    return spec.path.with_suffix(".signatures")


def problems(spec: Spec) -> list[Problem]:
    """Problems of the certificate and of the file of signatures."""
    try:
        read(spec)
    except Problems as found:
        return list(found.problems)
    return []


def read(spec: Spec) -> Signer | None:
    """The signer that `build.sign` names; None if it names none. Problems."""
    if spec.build.sign is None:
        return None
    where = spec.where(("build", "sign", "certificate"))
    source = files.find_source(spec.build.sign.certificate, Path(spec.folder))
    if source is None:
        message = f"there is no file {spec.build.sign.certificate!r}"
        raise Problems([Problem(where, message, f"{user_command('keys:NAME')} makes keys for tests")])
    if containment.escapes(files.expanded(source), Path(spec.folder)):
        raise Problems([Problem(where, f"{source!r} lies outside the project", containment.ALLOWED)])
    try:
        certificate = x509.from_file(tracked.contents(files.expanded(source)))
    except (ValueError, OSError) as error:
        raise Problems([Problem(where, f"{source}: not a certificate that can sign: {error}")]) from None
    return Signer(certificate, signatures(path(spec)))


def signatures(path: Path) -> dict[str, bytes]:
    """The signatures in a file; {} if there is none. Problems for a damaged one."""
    try:
        data = tracked.contents(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise problem_at(str(path), 1, 1, f"cannot be read: {error.strerror}") from None
    try:
        return dict(_parsed(data))
    except (ValueError, RecursionError) as error:
        raise problem_at(str(path), 1, 1, f"not a file of signatures: {error}") from None


def text(signatures: Mapping[str, bytes]) -> str:
    """The text of a file of signatures."""
    table = {digest: base64.b64encode(each).decode() for digest, each in signatures.items()}
    return json.dumps({"signatures": table, "version": VERSION}, indent=1, sort_keys=True) + "\n"


def _parsed(unsafe_data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields digests and signatures. ValueError."""
    if len(unsafe_data) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    document = json.loads(unsafe_data, object_pairs_hook=_without_duplicates)
    if not isinstance(document, dict) or document.keys() != {"signatures", "version"}:
        raise ValueError("an object with signatures and version belongs here")
    if document["version"] != VERSION or not isinstance(document["signatures"], dict):
        raise ValueError(f"version {VERSION} is read, with an object of signatures")
    for digest, value in document["signatures"].items():
        if not is_digest(digest) or not isinstance(value, str):
            raise ValueError(f"{digest[:80]!r} is not sha256:… with a signature in base64")
        try:
            yield digest, base64.b64decode(value, validate=True)
        except binascii.Error:
            raise ValueError(f"the signature of {digest} is not base64") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)
