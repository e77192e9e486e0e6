"""Machines for tests: stores that share a cache, and the keys of those that sign."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.engine.action import Action, closure
from pipeline.incremental import open_store
from pipeline.shared.client import SharedCache
from pipeline.shared.configuration import Settings
from pipeline.shared.statement import public_text
from pipeline.store import Store
from tests.engine import graphs


@functools.cache
def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"\0"))


def trust(name: str) -> str:
    return public_text(name, key(name).public_key())


def key_file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.key"
    if not path.exists():
        path.write_bytes(key(name).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ))  # fmt: skip
    return path


def machine(folder: Path, *urls: str, sign: str = "", trusted: tuple[str, ...] = ("ci",), **more: Any) -> Store:
    """A machine with the store `folder`. sign: name of the key by which it pushes."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        urls, bool(sign), False, tuple(map(trust, trusted)), str(key_file(folder, sign)) if sign else "", 60, 5, 0
    )
    settings = settings._replace(**more)
    return open_store(folder / "cache", lambda: SharedCache.of(settings))


def build(store: Store, actions: list[Action]) -> dict[str, bytes]:
    """All bytes that `actions` and their inputs give; what they pushed is there afterwards."""
    store.beyond.prepare(store, [action.key for action in closure(*actions)])
    made = graphs.build(store, actions)
    store.finish()
    return made
