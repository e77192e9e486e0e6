"""Config: what an image says about how it is run (image-spec, config.md), typed, sized, and nothing else of it.

Unknown fields, reserved label namespaces and whatever else a builder wrote stay behind: what is copied here is what
other modules may act upon.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

from pipeline.model.digest import Digest, InvalidDigest
from pipeline.oci.error import Refusal
from pipeline.oci.manifest import LAYERS_LIMIT, decode

ITEMS = 4096
"""Elements of one list or map."""
STRING = 1 << 20
"""Characters of one string: a label may hold a whole document."""
HIGHEST_ID = 2**32 - 2
"""Linux keeps ids in 32 bits; the last one means "none" (CVE-2024-40635: larger ones wrapped around to root)."""

LABEL = "org.mobyproject.config"
"""The label in which an image says how it wants to be run (pipeline.container.label reads it)."""
FACTS = ("created", "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "StopSignal")

_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,255}\$?")


class Config(TypedDict):
    """The known fields of an image's config; absent ones are empty."""

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


def parse(data: bytes, what: str) -> Config:
    """The config in `data`, checked; `what` names the image in errors."""
    document = decode(data, what)
    rootfs = _object(document, "rootfs", what)
    run = _object(document, "config", what)
    return {
        "architecture": _string(document, "architecture", what),
        "os": _string(document, "os", what),
        "variant": _string(document, "variant", what),
        "created": _string(document, "created", what),
        "diff_ids": [_digest(text, what) for text in _strings(rootfs, "diff_ids", what, LAYERS_LIMIT)],
        "User": _user(_string(run, "User", what), what),
        "ExposedPorts": sorted(_object(run, "ExposedPorts", what)),
        "Env": _strings(run, "Env", what),
        "Entrypoint": _strings(run, "Entrypoint", what),
        "Cmd": _strings(run, "Cmd", what),
        "Volumes": sorted(_object(run, "Volumes", what)),
        "WorkingDir": _string(run, "WorkingDir", what),
        "Labels": _labels(run, what),
        "StopSignal": _string(run, "StopSignal", what),
    }


def facts(config: Config) -> dict[str, Any]:
    """What of `config` a lock keeps: how the image is run, as far as it says so, and of its labels LABEL alone."""
    labels = {name: text for name, text in config["Labels"].items() if name == LABEL}
    found = {name: value for name, value in config.items() if name in FACTS and value}
    return found | ({"Labels": labels} if labels else {})


def _object(document: dict[str, Any], field: str, what: str) -> dict[str, Any]:
    value = document.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > ITEMS:
        raise Refusal(f"{what}: {field} is no object of at most {ITEMS} fields")
    return value


def _string(document: dict[str, Any], field: str, what: str) -> str:
    value = document.get(field)
    return "" if value is None else _checked(value, field, what)


def _checked(value: Any, field: str, what: str) -> str:
    if not isinstance(value, str) or len(value) > STRING or "\0" in value:
        raise Refusal(f"{what}: {field} holds something that is no string, or too long, or has a NUL in it")
    return value


def _strings(document: dict[str, Any], field: str, what: str, limit: int = ITEMS) -> list[str]:
    value = document.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > limit:
        raise Refusal(f"{what}: {field} is no list of at most {limit} strings")
    return [_checked(item, field, what) for item in value]


def _labels(run: dict[str, Any], what: str) -> dict[str, str]:
    return {name: _checked(value, "Labels", what) for name, value in sorted(_object(run, "Labels", what).items())}


def _digest(text: str, what: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise Refusal(f"{what}: diff_ids: {error}") from None


def _user(user: str, what: str) -> str:
    """`user`, `uid`, `user:group` or `uid:gid`; ids within Linux's range."""
    parts = user.split(":") if user else []
    for part in parts:
        number = int(part) if re.fullmatch(r"[+-]?[0-9]{1,30}", part) else None
        right = bool(_USER.fullmatch(part)) if number is None else 0 <= number <= HIGHEST_ID
        if len(parts) > 2 or not right:
            raise Refusal(f"{what}: User {user[:60]!r} is no user[:group] with ids of 0 to {HIGHEST_ID}")
    return user
