"""Entries of a transparency log of signatures (protobuf-specs, sigstore_rekor.proto, TransparencyLogEntry).

Rekor v1 promises an entry with a time (signed entry timestamp, SET) and proves it; Rekor v2 proves it, and has no time.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.trust import checkpoint, document, keys, merkle
from pipeline.trust.document import Object
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Log

EVIDENCE = ("inclusionPromise", "inclusionProof")
LATEST = 1 << 36
"""Latest time of an entry, in seconds since 1970: beyond the year 4000."""
BODY_LIMIT = 1 << 20
"""Maximum size of an entry's body, in bytes."""


class Entry(NamedTuple):
    """An entry. time: the promised time, None without a promise. body: canonical JSON. log: the log that has it."""

    kind: str
    version: str
    body: Object
    log: Log
    log_index: int
    time: datetime | None


def verify(fields: Object, logs: tuple[Log, ...], *, promise_suffices: bool) -> Entry:
    """Returns the entry in `fields`, which a log of `logs` has; else SignatureRefusal.

    promise_suffices: for bundles of version 0.1, a promise is enough. Of what is there, all is verified.
    """
    with about("log entry"):
        fields.only("logIndex", "logId", "kindVersion", "integratedTime", "canonicalizedBody", *EVIDENCE)
        log_id = fields.object("logId").only("keyId").blob("keyId")
        log = next((log for log in logs if log.log_id == log_id), None)
        if log is None:
            raise SignatureRefusal(f"the root has no log {log_id.hex()[:64]}")
        body, index = fields.blob("canonicalizedBody"), fields.integer("logIndex")
        time = _promised_time(fields, body, index, log) if fields.has("inclusionPromise") else None
        if fields.has("inclusionProof") or time is None or not promise_suffices:
            _verify_proof(fields.object("inclusionProof"), body, log, None if time else index)
        kind = fields.object("kindVersion").only("kind", "version")
        content = document.parse(body, BODY_LIMIT, "body")
        if (kind.text("kind"), kind.text("version")) != (content.text("kind"), content.text("apiVersion")):
            raise SignatureRefusal("its body is of another kind or version")
        return Entry(kind.text("kind"), kind.text("version"), content.object("spec"), log, index, time)


def _promised_time(fields: Object, body: bytes, index: int, log: Log) -> datetime:
    """Returns the time that the log promises by the SET (Rekor, openapi.yaml, verification.signedEntryTimestamp)."""
    import base64

    with about("promise"):
        seconds = fields.integer("integratedTime")
        if not 0 < seconds < LATEST:
            raise SignatureRefusal("a time far from now")
        time = datetime.fromtimestamp(seconds, UTC)
        if not log.validity.holds(time):
            raise SignatureRefusal("the root's log was not valid at its time")
        encoded = base64.b64encode(body).decode()
        signed = {"body": encoded, "integratedTime": seconds, "logID": log.log_id.hex(), "logIndex": index}
        promise = fields.object("inclusionPromise").only("signedEntryTimestamp").blob("signedEntryTimestamp")
        keys.verify(keys.load(log.key), promise, document.canonical(signed))
        return time


def _verify_proof(proof: Object, body: bytes, log: Log, index: int | None) -> None:
    """Verifies that the tree of a checkpoint has `body`; at `index`, unless a promise has vouched for an index.

    Shards of Rekor v1 count from 0 in proofs, and on from each other in entries.
    """
    with about("inclusion proof"):
        proof.only("logIndex", "rootHash", "treeSize", "hashes", "checkpoint")
        envelope = proof.object("checkpoint").only("envelope").text("envelope")
        signed = checkpoint.verify(envelope, log)
        hashes = [document.decode_base64(each, "a hash") for each in proof.texts("hashes", merkle.LONGEST)]
        position, size = proof.integer("logIndex"), proof.integer("treeSize")
        if index is not None and position != index:
            raise SignatureRefusal("it is of another index than the entry")
        computed = merkle.root_hash(merkle.leaf_hash(body), position, size, hashes)
        stated = proof.blob("rootHash")
        if size != signed.size or stated != signed.root_hash or not hmac.compare_digest(computed, stated):
            raise SignatureRefusal("the tree of the checkpoint does not have this entry")
