"""An image's configuration (image-spec, config.md): its known fields, checked.

Only fields that other modules use are copied. Unknown fields and reserved label namespaces are dropped.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

from pipeline.model.digest import Digest, InvalidDigest
from pipeline.oci.error import Refusal
from pipeline.oci.manifest import LAYERS_LIMIT, decode

ITEMS = 4096
"""Maximum number of elements of a list or object."""
STRING = 1 << 20
"""Maximum length of a string, in characters: a label may hold a whole document."""
HIGHEST_ID = 2**32 - 2
"""Highest user or group id: Linux has 32 bits, and 2**32 - 1 means "none". CVE-2024-40635: larger ones became root."""

LABEL = "org.mobyproject.config"
"""The label with the way an image is to be run (pipeline.container.label reads it)."""
LOCKED_FIELDS = ("created", "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "StopSignal")

_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,255}\$?")


class Config(TypedDict):
    """The known fields of an image's configuration; absent ones are empty."""

    architecture: str
    os: str
    variant: str
    created: str
    diff_ids: list[Digest]
    User: str
    ExposedPorts: list[str]
    Env: list[str]
    Entrypoint: list[str]
    Cmd: list[str]
    Volumes: list[str]
    WorkingDir: str
    Labels: dict[str, str]
    StopSignal: str


def parse(data: bytes, subject: str) -> Config:
    """Returns the configuration in `data`. subject: the image, for messages. Refusal."""
    document = _Fields(decode(data, subject), subject)
    run = _Fields(document.object("config"), subject)
    return {
        "architecture": document.string("architecture"),
        "os": document.string("os"),
        "variant": document.string("variant"),
        "created": document.string("created"),
        "diff_ids": _diff_ids(_Fields(document.object("rootfs"), subject)),
        "User": _user(run.string("User"), subject),
        "ExposedPorts": sorted(run.object("ExposedPorts")),
        "Env": run.strings("Env"),
        "Entrypoint": run.strings("Entrypoint"),
        "Cmd": run.strings("Cmd"),
        "Volumes": sorted(run.object("Volumes")),
        "WorkingDir": run.string("WorkingDir"),
        "Labels": {name: run.check(value, "Labels") for name, value in sorted(run.object("Labels").items())},
        "StopSignal": run.string("StopSignal"),
    }


def locked_fields(config: Config) -> dict[str, Any]:
    """Returns the fields of `config` that a lock records: LOCKED_FIELDS that are set, and the label LABEL."""
    labels = {name: text for name, text in config["Labels"].items() if name == LABEL}
    fields = {name: value for name, value in config.items() if name in LOCKED_FIELDS and value}
    return fields | ({"Labels": labels} if labels else {})


class _Fields:
    """The fields of a JSON object by type; a field that is absent or null is empty. `subject` is for messages."""

    def __init__(self, document: dict[str, Any], subject: str) -> None:
        self.document = document
        self.subject = subject

    def object(self, name: str) -> dict[str, Any]:
        value = self.document.get(name)
        if value is not None and (not isinstance(value, dict) or len(value) > ITEMS):
            raise Refusal(f"{self.subject}: {name} is not an object of at most {ITEMS} fields")
        return value or {}

    def string(self, name: str) -> str:
        value = self.document.get(name)
        return "" if value is None else self.check(value, name)

    def strings(self, name: str, limit: int = ITEMS) -> list[str]:
        value = self.document.get(name)
        if value is not None and (not isinstance(value, list) or len(value) > limit):
            raise Refusal(f"{self.subject}: {name} is not a list of at most {limit} strings")
        return [self.check(item, name) for item in value or ()]

    def check(self, value: Any, name: str) -> str:
        if not isinstance(value, str) or len(value) > STRING or "\0" in value:
            raise Refusal(f"{self.subject}: {name} is not a string of at most {STRING} characters without NUL")
        return value


def _diff_ids(rootfs: _Fields) -> list[Digest]:
    try:
        return [Digest.parse(text) for text in rootfs.strings("diff_ids", LAYERS_LIMIT)]
    except InvalidDigest as error:
        raise Refusal(f"{rootfs.subject}: diff_ids: {error}") from None


def _user(user: str, subject: str) -> str:
    """Checks `user`, `uid`, `user:group` or `uid:gid`, with ids of Linux's range."""
    parts = user.split(":") if user else []
    for part in parts:
        number = int(part) if re.fullmatch(r"[+-]?[0-9]{1,30}", part) else None
        valid = bool(_USER.fullmatch(part)) if number is None else 0 <= number <= HIGHEST_ID
        if len(parts) > 2 or not valid:
            raise Refusal(f"{subject}: User {user[:60]!r} is not user[:group] with ids of 0 to {HIGHEST_ID}")
    return user
