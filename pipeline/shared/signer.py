"""Signer: the private key of what a user pushes, and its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.model.errors import BadInput
from pipeline.shared import configuration
from pipeline.shared.statement import NAME
from pipeline.trust import keys, signing
from pipeline.trust.error import SignatureRefusal

Sign = Callable[[bytes], Mapping[str, bytes]]
"""Returns signatures of data, by the names of their signers."""


def unsigned(data: bytes) -> Mapping[str, bytes]:
    return {}


def load(path: Path, trusted: dict[str, keys.PublicKey]) -> tuple[str, Sign]:
    """Returns the name of the key in the file `path` and what signs by it; adds it to `trusted`. BadInput.

    Its name is the one under which it is trusted; else that of the file, without its ending.
    """
    try:
        key = signing.load(path.read_bytes())
        public = key.public_key()
        if keys.kind(public) != "Ed25519":
            raise SignatureRefusal("not an Ed25519 key")
    except OSError as error:
        raise BadInput(f"{configuration.SIGN}: {path}: {error.strerror}") from None
    except SignatureRefusal as error:
        raise BadInput(f"{configuration.SIGN}: {path}: {error}: openssl genpkey -algorithm ed25519") from None
    name = next((name for name, each in trusted.items() if keys.encoding(each) == keys.encoding(public)), path.stem)
    if name in trusted and keys.encoding(trusted[name]) != keys.encoding(public):
        raise BadInput(f"{configuration.SIGN}: {path}: {name} is another key in {configuration.TRUST}: rename the file")
    if not NAME.fullmatch(name):
        raise BadInput(f"{configuration.SIGN}: {path}: a signer's name has letters, digits, and .@_- : rename the file")
    trusted[name] = public
    return name, lambda data: {name: signing.sign(key, data)}
