"""Signed EFI programs: signatures of a spec are attached, and what a program is known by is recorded.

A signer is {"chain": [DER], "signatures": {digest: signature}, "variables": {name: content}, "version": VERSION}, the
bytes in base64. The chain starts with the signer's certificate. A digest is that of the signed attributes
(pipeline.ondisk.authenticode); a variable is one of the firmware's (PK, KEK, db, dbx), and decides the expected PCR 7
alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.host.user_command import user_command
from pipeline.incremental import checksum16, sha256
from pipeline.language.problem import StageProblem, warn
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, cut, files, length
from pipeline.ondisk import authenticode as ondisk
from pipeline.ondisk import efivars, measured_boot, x509
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store
from pipeline.writers import FormatError, authenticode

VERSION = f"4 authenticode-{authenticode.VERSION}"
PATH = ("sign",)
"""Key of `build:` that a problem is about."""
PROGRAM = ".efi"
RECORD = "record.json"
ROOT_HASH = re.compile(rb"(?:^| )roothash=([0-9a-f]{64})\b")
"""The word of a command line that binds a root (pipeline.stages.verity)."""
TO_SIGN = "attributes"
"""File with the bytes that a signer signs."""


def signed(store: Store, program: Digest, sign: Mapping[str, Any] | None) -> Digest:
    """Returns the tree {".efi"} with the signature of `sign`, or as it is, with a warning, if there is none for it.

    StageProblem for a signature that the certificate's key did not make, and for a program that is signed already.
    """
    if sign is None:
        return program
    content = required_file(store, program, PROGRAM)
    image = image_hash(store, content)
    digest = f"sha256:{hashlib.sha256(ondisk.signed_attributes(image)).hexdigest()}"
    if digest not in sign["signatures"]:
        warn(PATH, f"the node is not signed: there is no signature of {digest}", user_command("sign:NAME"))
        return program
    chain = _chain(sign)
    try:
        data = authenticode.signed_data(image, chain, base64.b64decode(sign["signatures"][digest]))
        out, start = store.rope(), min(ondisk.LARGEST_HEAD, length(content))
        rest = cut(content, start, length(content) - start)
        authenticode.attach(store.bytes(cut(content, 0, start)), rest, data, partial(checksum16, store), out)
    except FormatError as error:
        hint = f"the certificate is that of {chain[0].subject}"
        raise StageProblem(PATH, f"the signature of {digest} cannot be attached: {error}", hint) from None
    return store.put_tree(files([(PROGRAM, out.finish())]))


def record(store: Store, program: Digest, sign: Mapping[str, Any] | None = None) -> Digest:
    """Returns a tree {"record.json", "attributes"} of an unsigned program: digests, PCRs, command line, who signed it.

    The root hash is that of the root that its command line binds (dm-verity); null without one.
    """
    content = required_file(store, program, PROGRAM)
    image = image_hash(store, content)
    attributes = ondisk.signed_attributes(image)
    digest = f"sha256:{hashlib.sha256(attributes).hexdigest()}"
    parts = _sections(store, content)
    line = store.bytes(parts.get(".cmdline", ()))
    version, digests = _measured(store, parts)
    registers = {
        "4": measured_boot.pcr4(image),
        "7": _policy(sign),
        "11": measured_boot.pcr11(version, digests),
    }
    facts = {
        "authenticode": f"sha256:{image.hex()}",
        "command-line": line.rstrip(b"\0").decode("utf-8", "surrogateescape").strip(),
        "pcrs": {number: value.hex() for number, value in registers.items() if value},
        "root-hash": _root_hash(line),
        "sections": [[name, digests[name].hex()] for name in measured_boot.measured(version, digests)],
        "signed-attributes": digest,
        "signer": _signer(sign, digest),
        "unsigned": sha256(store, content),
    }
    text = json.dumps(facts, sort_keys=True).encode()
    return store.put_tree(files([(TO_SIGN, store.content(attributes)), (RECORD, store.content(text))]))


def image_hash(store: Store, content: Content) -> bytes:
    """Returns the Authenticode hash of a program. FormatError if it cannot be signed."""
    start = min(ondisk.LARGEST_HEAD, length(content))
    head, rest = store.bytes(cut(content, 0, start)), cut(content, start, length(content) - start)
    try:
        return ondisk.image_hash(head, store.read(rest), length(content))
    except ValueError as error:
        raise FormatError(f"the EFI program cannot be signed: {error}") from None


def _sections(store: Store, content: Content) -> dict[str, Content]:
    """Returns the sections of a program by name."""
    found = measured_boot.sections(store.bytes(cut(content, 0, min(ondisk.LARGEST_HEAD, length(content)))))
    return {name: cut(content, *place) for name, place in found.items()}


def _root_hash(line: bytes) -> str | None:
    """Returns the root hash on a command line, in hexadecimal; None if it has none."""
    found = ROOT_HASH.search(line)
    return found[1].decode() if found else None


def _measured(store: Store, parts: Mapping[str, Content]) -> tuple[int, dict[str, bytes]]:
    """Returns the version of a program's stub, and the digests of the sections that it measures."""
    version = measured_boot.stub_version(store.bytes(parts[".sdmagic"])) if ".sdmagic" in parts else 0
    names = measured_boot.measured(version, parts)
    return version, {name: bytes.fromhex(sha256(store, parts[name]).hex) for name in names}


def _policy(sign: Mapping[str, Any] | None) -> bytes | None:
    """Returns the expected register of the firmware's keys; None where nobody signs."""
    if sign is None:
        return None
    contents = {name: base64.b64decode(data) for name, data in sign["variables"].items()}
    entry = authority(contents["db"], _chain(sign))
    return entry and measured_boot.pcr7(contents, entry)


def authority(database: bytes, chain: Sequence[x509.Certificate]) -> bytes | None:
    """Returns the entry of db for which firmware starts what `chain` signed: one of its certificates, or an issuer.

    It is the first one; None if there is none. database: content of db.
    """
    for each in efivars.signatures(database):
        if each.kind == efivars.X509:
            try:
                found = x509.parse(each.value)
            except ValueError:  # not RSA, say: not one of the chain
                continue
            if any(found == below or found.issued(below) for below in chain):
                return each.data
    return None


def _chain(sign: Mapping[str, Any]) -> list[x509.Certificate]:
    """Returns a signer's certificates."""
    return [x509.parse(base64.b64decode(each)) for each in sign["chain"]]


def _signer(sign: Mapping[str, Any] | None, digest: str) -> dict[str, str] | None:
    if sign is None or digest not in sign["signatures"]:
        return None
    certificate = _chain(sign)[0]
    return {"subject": certificate.subject, "certificate": f"sha256:{certificate.fingerprint}"}
