"""Redaction of parameters of actions, for records and messages.

An action's key covers the contents of files and the values of environment variables, which may be secrets. Records
contain digests in their place, which show that a value changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

CONTENTS = ("contents",)
"""Names of parameters that are replaced."""
ENVIRONMENT = ("env", "Env")
"""Names of parameters that are lists of NAME=VALUE, of which the values are replaced (runtime-spec, image-spec)."""
TEXTS = ("org.mobyproject.config",)
"""Names of parameters that are JSON texts with parameters inside."""
DIGITS = 12
"""Number of hexadecimal digits of a SHA-256 that replace a value."""


def redact_text(line: str) -> str:
    """Returns a line of a log without passwords, tokens and the queries of URLs."""
    line = re.sub(r"(?<=://)[^/\s@]+@", "…@", line)
    line = re.sub(r"(\w://[^\s?#]*)\?[^\s#]*", r"\1?…", line)
    return re.sub(r"(?i)\b(Basic|Bearer) +\S+", r"\1 …", line)


def redact(params: Any) -> Any:
    """Returns `params` (JSON values) with digests in place of possible secrets. Idempotent."""
    if isinstance(params, Mapping):
        return {name: _value(name, value) for name, value in params.items()}
    if isinstance(params, list | tuple):
        return [redact(item) for item in params]
    return params


def _value(name: str, value: Any) -> Any:
    if name in CONTENTS and isinstance(value, str):
        return {"sha256": _digest(value)}
    if name in ENVIRONMENT and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
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
    """Returns a mapping from the names in NAME=VALUE entries to digests of the values."""
    pairs = [entry.partition("=") for entry in entries]
    return {name: f"sha256:{_digest(value)}" if equals else "" for name, equals, value in pairs}


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]
