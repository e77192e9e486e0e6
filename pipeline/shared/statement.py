"""Statements: signed records of actions, as a server of the Remote Execution API keeps them, and what is believed.

A statement is canonical JSON in `stdout_raw` of an ActionResult (remote_execution.proto, v2) whose output files are the
blobs that its results need, so that a server checks that it has them and keeps them as long as the statement:

    {"nodekiln": 1, "key": hex, "blobs": {digest: bytes}, "records": {hex: {...}}, "signatures": {name: base64}}

That of one action has its record alone, that of a plan (`plan_key`) all of its actions'. A record has `result`, `blobs`
(positions in the sorted digests), `seconds` that its stage took, and `mirrored` if its blobs are kept elsewhere.
A signature (Ed25519; RFC 8032) is of MARK and all but the signatures: so also of the key, and good for no other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.model.digest import Digest, canonical_json
from pipeline.model.errors import BadInput
from pipeline.model.json_object import unique
from pipeline.shared.protobuf import MalformedMessage, Message, field, optional
from pipeline.store import Record
from pipeline.trust import keys
from pipeline.trust.error import SignatureRefusal

if TYPE_CHECKING:
    from pipeline.trust.keys import PublicKey

GENERATION = 1
"""Number of this form of statements."""
MARK = b"nodekiln statement\n"
"""First bytes of what is signed, by which no signature of anything else is one of a statement."""
LARGEST_BLOB = 1 << 40
"""Maximum size of a blob, in bytes."""
LONGEST_STAGE = 1e7
"""Maximum duration of a stage, in seconds."""
PUBLIC_KEY = bytes.fromhex("302a300506032b6570032100")
"""Bytes before an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, 10.1)."""
OUTPUT_FILES, STDOUT_RAW = 2, 5
"""Fields of ActionResult."""
KEY = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""A signer's name."""

Verify = Callable[[bytes, Mapping[str, bytes]], str]
"""Returns the name of a trusted signer of (data, signatures by name); "" if there is none."""


class Believed(NamedTuple):
    """A record, and the name of the signer who is believed. mirrored: its blobs are on a mirror, not in the cache."""

    record: Record
    mirrored: bool
    signer: str


class Refused(Exception):
    """A statement is not believed; the text says why."""


def plan_key(keys: Iterable[str]) -> str:
    """Returns the key of the statement that has the records of all actions with `keys`."""
    return hashlib.sha256("\n".join(["closure", *sorted(set(keys))]).encode()).hexdigest()


def encode(key: str, records: Mapping[str, Believed], sign: Callable[[bytes], Mapping[str, bytes]]) -> bytes:
    """Returns the ActionResult of a statement. records: by their actions' keys. sign: data -> signatures by name."""
    blobs = {blob: size for each in records.values() for blob, size in each.record.blobs.items()}
    places = {blob: place for place, blob in enumerate(sorted(blobs))}
    document: dict[str, Any] = {
        "nodekiln": GENERATION, "key": key, "blobs": blobs,
        "records": {action: _document(each, places) for action, each in records.items()},
    }  # fmt: skip
    signatures = sign(MARK + canonical_json(document))
    document["signatures"] = {name: base64.b64encode(value).decode() for name, value in signatures.items()}
    kept = {blob for each in records.values() if not each.mirrored for blob in each.record.blobs}
    files = b"".join(field(OUTPUT_FILES, _file(blob, blobs[blob])) for blob in sorted(kept))
    return files + field(STDOUT_RAW, canonical_json(document))


def decode(key: str, unsafe_data: bytes, verify: Verify) -> dict[str, Believed]:
    """Returns the records in the ActionResult of the statement `key`, by their actions' keys. Refused."""
    try:
        document = json.loads(Message.parse(unsafe_data).record(STDOUT_RAW), object_pairs_hook=unique)
        signatures = {name: base64.b64decode(text, validate=True) for name, text in document.pop("signatures").items()}
        signed = MARK + canonical_json(document)
    except (MalformedMessage, ValueError, TypeError, AttributeError, KeyError, RecursionError, binascii.Error):
        raise Refused("not a statement") from None
    if document.get("nodekiln") != GENERATION:
        raise Refused("a statement of another generation")
    if document.get("key") != key:
        raise Refused("the statement of another key")
    signer = verify(signed, signatures)
    if not signer:
        raise Refused("not signed by a trusted key")
    try:
        return _records(document, signer)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        raise Refused("not a statement") from None


def public_key(text: str) -> tuple[str, PublicKey]:
    """Returns the name and the key of `text`, NAME:BASE64 of the 32 bytes of an Ed25519 key. BadInput."""
    name, _, encoded = text.partition(":")
    try:
        if NAME.fullmatch(name) and len(raw := base64.b64decode(encoded, validate=True)) == 32:
            return name, keys.load(PUBLIC_KEY + raw)
    except (binascii.Error, ValueError, SignatureRefusal):
        pass
    raise BadInput(f"{text[:80]!a} is not a trusted key: write NAME:BASE64, as `shared` prints it for a private key")


def public_text(name: str, key: PublicKey) -> str:
    """Returns the text of which `public_key` makes `name` and `key` again."""
    return f"{name}:{base64.b64encode(keys.encoding(key)[len(PUBLIC_KEY) :]).decode()}"


def verifier(trusted: Mapping[str, PublicKey], unsigned: str = "") -> Verify:
    """Returns what believes the keys `trusted`. unsigned: the signer's name where none is needed."""

    def verify(data: bytes, signatures: Mapping[str, bytes]) -> str:
        for name, signature in signatures.items():
            if name in trusted:
                try:
                    keys.verify(trusted[name], signature, data)
                except SignatureRefusal:
                    continue
                return name
        return unsigned

    return verify


def _document(each: Believed, places: Mapping[Digest, int]) -> dict[str, Any]:
    document = {"result": each.record.result, "blobs": sorted(places[blob] for blob in each.record.blobs)}
    seconds = each.record.facts.get("seconds", 0)
    return document | ({"seconds": seconds} if seconds else {}) | ({"mirrored": True} if each.mirrored else {})


def _records(document: dict[str, Any], signer: str) -> dict[str, Believed]:
    sizes = {Digest.parse(blob): size for blob, size in document["blobs"].items()}
    if not all(type(size) is int and 0 <= size <= LARGEST_BLOB for size in sizes.values()):
        raise ValueError("sizes")
    order = sorted(sizes)
    return {action: _believed(action, entry, order, sizes, signer) for action, entry in document["records"].items()}


def _believed(
    action: str, entry: dict[str, Any], order: list[Digest], sizes: Mapping[Digest, int], signer: str
) -> Believed:
    places, seconds, mirrored = entry["blobs"], entry.get("seconds", 0), entry.get("mirrored", False)
    if not KEY.fullmatch(action) or not all(type(place) is int and place >= 0 for place in places):
        raise ValueError("places")
    if type(seconds) not in (int, float) or not 0 <= seconds <= LONGEST_STAGE or type(mirrored) is not bool:
        raise ValueError("seconds")
    blobs, result = {order[place]: sizes[order[place]] for place in places}, Digest.parse(entry["result"])
    return Believed(Record(result, blobs[result], {"seconds": seconds}, blobs), mirrored, signer)


def _file(blob: Digest, size: int) -> bytes:
    """Returns an OutputFile: path 1, digest 2 (hash 1, size_bytes 2)."""
    return field(1, blob.hex) + field(2, field(1, blob.hex) + optional(2, size))
