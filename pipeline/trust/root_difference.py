"""Differences of two roots (trusted_root.json), in lines for people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from pipeline.trust import distinguished_name
from pipeline.trust.root import Root, Validity


def differences(before: Root, now: Root) -> list[str]:
    """Returns a line for each log and authority that is new, gone, or valid at other times, sorted."""
    return sorted(_differences(_entries(before), _entries(now)))


def _differences(before: Mapping[str, Validity], now: Mapping[str, Validity]) -> Iterator[str]:
    for name in before.keys() | now.keys():
        if name not in now:
            yield f"{name}: gone"
        elif name not in before:
            yield f"{name}: new, valid {_shown(now[name])}"
        elif before[name] != now[name]:
            yield f"{name}: valid {_shown(now[name])}, not {_shown(before[name])}"


def _entries(root: Root) -> dict[str, Validity]:
    """Returns the validity of each log and authority of a root, by a name that has its key."""
    logs = [("log of signatures", root.signature_logs), ("log of certificates", root.certificate_logs)]
    authorities = [("authority", root.authorities), ("time stamp authority", root.timestamp_authorities)]
    return {
        **{f"{kind} {log.origin} ({_short(log.key)})": log.validity for kind, each in logs for log in each},
        **{
            f"{kind} {distinguished_name.text(found.path[0].subject)} ({_short(found.path[0].key)})": found.validity
            for kind, each in authorities
            for found in each
        },
    }


def _short(key: bytes) -> str:
    return f"sha256:{hashlib.sha256(key).hexdigest()[:12]}"


def _shown(validity: Validity) -> str:
    end = f"{validity.end:%Y-%m-%d}" if validity.end else "on"
    return f"from {validity.start:%Y-%m-%d} " + (f"to {end}" if validity.end else end)
