"""Redact: parameters of actions as records and people may have them: without values that may be secrets.

A file's contents and the values of environment variables are part of what decides a result, so they are in an action's
key and in its result. Records are for people: they hold a digest in such a value's place, which shows that it changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

CONTENTS = ("contents",)
"""Names of parameters whose texts are not shown."""
ENVIRONMENT = ("env", "Env")
"""Names of parameters that are lists of NAME=VALUE, of which the names are shown (runtime-spec's and image-spec's)."""
TEXTS = ("org.mobyproject.config",)
"""Names of parameters that are JSON texts, with parameters inside."""
DIGITS = 12
"""Hexadecimal digits of a sha256 that stand for a value."""


def redact(params: Any) -> Any:
    """`params` (JSON values) with digests in place of what may be secret. Redacting twice changes nothing."""
    if isinstance(params, Mapping):
        return {name: _value(name, value) for name, value in params.items()}
    if isinstance(params, list | tuple):
        return [redact(each) for each in params]
    return params


def _value(name: str, value: Any) -> Any:
    if name in CONTENTS and isinstance(value, str):
        return {"sha256": _digest(value)}
    if name in ENVIRONMENT and isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return environment(value)
    if name in TEXTS and isinstance(value, str):
        return redact(_parsed(value))
    return redact(value)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"sha256": _digest(text)}


def environment(entries: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE entries as a mapping of names to what stands for the values."""
    pairs = [entry.partition("=") for entry in entries]
    return {name: f"sha256:{_digest(value)}" if equals else "" for name, equals, value in pairs}


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]
