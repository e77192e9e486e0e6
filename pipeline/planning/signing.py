"""Signers of a spec: its certificate, and the signatures in specs/NAME.signatures.

The file is sorted JSON with a signature a line, each under the digest of what it signs, so that one for other bytes is
never taken: `{"pushes": {…}, "signatures": {"sha256:…": "BASE64"}, "version": 1}`. `signatures` are of EFI programs,
and a parameter of formats. `pushes` are of statements about what is pushed, and a parameter of nothing: the statements
have the digest of manifest.json, which has the keys of all stages.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import containment, tracked
from pipeline.host.user_command import user_command
from pipeline.language.document import problem_at
from pipeline.language.problem import Problem, Problems
from pipeline.language.schema import plain
from pipeline.model import json_object
from pipeline.model.digest import is_digest
from pipeline.ondisk import x509
from pipeline.ondisk.efivars import VENDORS
from pipeline.ondisk.efivars import signatures as known_signatures
from pipeline.spec.spec import Spec
from pipeline.stages import files, signed
from pipeline.writers import efivars

VERSION = 1
PUSHES, PROGRAMS = "pushes", "signatures"
"""Tables of the file."""
LARGEST_FILE = 1 << 24
"""Maximum size of a file of signatures, in bytes: room for more than 20 000."""


class Signatures(NamedTuple):
    """The signatures in a file, by the digest (sha256:…) of what they sign.

    programs: of signed attributes. pushes: of statements, as an envelope encodes them (DSSE protocol, PAE).
    """

    programs: Mapping[str, bytes]
    pushes: Mapping[str, bytes]


class Signer(NamedTuple):
    """A signer. chain: its certificate, and its issuers as far as they are known. signatures: digest of the signed
    attributes (sha256:…) -> the signature. variables: name of a variable of the firmware (PK, KEK, db, dbx) -> its
    content.
    """

    chain: Sequence[x509.Certificate]
    signatures: Mapping[str, bytes]
    variables: Mapping[str, bytes]

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key that signs."""
        return self.chain[0]

    def parameter(self) -> dict[str, Any]:
        """The signer as stages.signed takes it, in JSON."""
        return {
            "version": signed.VERSION,
            "chain": [base64.b64encode(each.encoding).decode() for each in self.chain],
            "signatures": _encoded(self.signatures),
            "variables": _encoded(self.variables),
        }


def _encoded(table: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(data).decode() for name, data in table.items()}


def path(spec: Spec) -> Path:
    """The file of the spec's signatures, which need not be there."""
    return spec.path.with_suffix(".signatures")


def problems(spec: Spec) -> list[Problem]:
    """Problems of the signers' files and of the file of signatures."""
    try:
        read(spec)
        push_key(spec)
        signatures(path(spec))
    except Problems as found:
        return list(found.problems)
    return []


def read(spec: Spec) -> Signer | None:
    """The signer of EFI programs that `build.sign` names; None if it names none. Problems."""
    if spec.build.sign is None or spec.build.sign.certificate is None:
        return None
    data, source = _file(spec, "certificate")
    try:
        chain = x509.chain_from_file(data)
    except ValueError as error:
        raise _problem(spec, "certificate", f"{source}: not a certificate that can sign: {error}") from None
    return Signer(chain, signatures(path(spec)).programs, _variables(spec, chain))


def push_key(spec: Spec) -> tuple[bytes, str] | None:
    """The public key of the signer of pushes, and the name of its file; None if `build.sign` names none. Problems."""
    if spec.build.sign is None or spec.build.sign.push is None:
        return None
    return _file(spec, "push")


def _variables(spec: Spec, chain: Sequence[x509.Certificate]) -> dict[str, bytes]:
    """The firmware's variables as the spec has them, and the chain's last one in those that it leaves out. Problems."""
    sign = plain(spec.build.sign)
    own = efivars.certificate_list(chain[-1].encoding)
    contents = {
        name: _content(spec, name.lower()) if name.lower() in sign else own
        for name in VENDORS
        if name != "dbx" or "dbx" in sign
    }
    if signed.authority(contents["db"], chain) is None:
        hint = f"add {chain[0].subject} to it, or the certificate that issued it"
        raise _problem(spec, "db", f"{sign['db']!r} does not have the signer's certificate", hint)
    return contents


def _content(spec: Spec, key: str) -> bytes:
    """The content of a variable: that of the file that `build.sign` has under `key`. Problems."""
    data, source = _file(spec, key)
    try:
        listed = bool(known_signatures(data))
    except ValueError:
        listed = False
    try:
        return data if listed else efivars.certificate_list(x509.from_file(data).encoding)
    except ValueError as error:
        raise _problem(spec, key, f"{source}: neither lists of signatures nor a certificate: {error}") from None


def _file(spec: Spec, key: str) -> tuple[bytes, str]:
    """The bytes of the file that `build.sign` has under `key`, and its name. Problems."""
    name = getattr(spec.build.sign, key)
    source = files.find_source(name, Path(spec.folder))
    if source is None:
        hint = f"{user_command('keys:NAME')} makes keys for tests" if key != "push" else ""
        raise _problem(spec, key, f"there is no file {name!r}", hint)
    if containment.escapes(files.expanded(source), Path(spec.folder)):
        raise _problem(spec, key, f"{source!r} lies outside the project", containment.ALLOWED)
    try:
        return tracked.contents(files.expanded(source)), source
    except OSError as error:
        raise _problem(spec, key, f"{source}: cannot be read: {error.strerror}") from None


def _problem(spec: Spec, key: str, message: str, hint: str = "") -> Problems:
    return Problems([Problem(spec.where(("build", "sign", key)), message, hint)])


def signatures(path: Path) -> Signatures:
    """The signatures in a file; none if it is not there. Problems for a damaged one."""
    try:
        data = tracked.contents(path)
    except FileNotFoundError:
        return Signatures({}, {})
    except OSError as error:
        raise problem_at(str(path), 1, 1, f"cannot be read: {error.strerror}") from None
    try:
        return _parsed(data)
    except (ValueError, RecursionError) as error:
        raise problem_at(str(path), 1, 1, f"not a file of signatures: {error}") from None


def text(signatures: Signatures) -> str:
    """The text of a file of signatures."""
    pushes = {PUSHES: _encoded(signatures.pushes)} if signatures.pushes else {}
    fields = {PROGRAMS: _encoded(signatures.programs), "version": VERSION}
    return json.dumps(fields | pushes, indent=1, sort_keys=True) + "\n"


def _parsed(unsafe_data: bytes) -> Signatures:
    """Returns the signatures in the bytes of a file. ValueError."""
    if len(unsafe_data) > LARGEST_FILE:
        raise ValueError(f"larger than {LARGEST_FILE} bytes")
    document = json.loads(unsafe_data, object_pairs_hook=json_object.unique)
    if not isinstance(document, dict) or document.keys() - {PUSHES} != {PROGRAMS, "version"}:
        raise ValueError("an object with signatures and version belongs here")
    tables = document[PROGRAMS], document.get(PUSHES, {})
    if document["version"] != VERSION or not all(isinstance(each, dict) for each in tables):
        raise ValueError(f"version {VERSION} is read, with an object of signatures")
    return Signatures(*(dict(_decoded(each)) for each in tables))


def _decoded(unsafe_table: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yields digests and signatures. ValueError."""
    for digest, value in unsafe_table.items():
        if not is_digest(digest) or not isinstance(value, str):
            raise ValueError(f"{digest[:80]!r} is not sha256:… with a signature in base64")
        try:
            yield digest, base64.b64decode(value, validate=True)
        except binascii.Error:
            raise ValueError(f"the signature of {digest} is not base64") from None
