"""OpenPGP signatures of an archive (RFC 9580), verified by Sequoia.

A signature counts if a certificate of the given ones made it and Sequoia's standard policy accepts both now: an
expired or revoked key, a broken algorithm or a signature by anybody else is no signature.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.packages.error import PackageError

if TYPE_CHECKING:
    from pysequoia import Cert, Sig

CERTIFICATES_LIMIT = 4 << 20
"""Maximum size of a file of certificates, in bytes."""
SIGNATURES = 16
"""Maximum number of detached signatures that are tried."""


class BadSignature(PackageError):
    """No valid signature by a given certificate."""


def certificates(path: Path) -> list[Cert]:
    """Returns the certificates in a file, armored or not. PackageError."""
    from pysequoia import Cert

    try:
        with open(path, "rb") as file:
            data = file.read(CERTIFICATES_LIMIT + 1)
    except OSError as error:
        raise PackageError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > CERTIFICATES_LIMIT:
        raise PackageError(f"{path}: more than {CERTIFICATES_LIMIT >> 20} MiB of certificates")
    try:
        found = Cert.split_bytes(data)
    except (RuntimeError, ValueError) as error:
        raise PackageError(f"{path}: not OpenPGP certificates: {_reason(error)}") from None
    if not found:
        raise PackageError(f"{path}: no OpenPGP certificate in it")
    return found


def verified(unsafe_message: bytes, trusted: list[Cert]) -> bytes:
    """Returns the text of a message with a cleartext signature, and nothing around it. BadSignature."""
    from pysequoia import verify

    try:
        text = verify(unsafe_message, store=lambda _: trusted).bytes
    except (RuntimeError, ValueError) as error:
        raise BadSignature(_reason(error)) from None
    assert text is not None
    return bytes(text)


def check_detached(unsafe_text: bytes, unsafe_signatures: bytes, trusted: list[Cert]) -> None:
    """Raises BadSignature unless one of the signatures of `unsafe_text` is valid."""
    from pysequoia import verify

    reason = "no signature"
    for signature in _signatures(unsafe_signatures):
        try:
            verify(unsafe_text, store=lambda _: trusted, signature=signature)
        except (RuntimeError, ValueError) as error:
            reason = _reason(error)
        else:
            return
    raise BadSignature(reason)


def _signatures(unsafe_signatures: bytes) -> Iterator[Sig]:
    """Yields the signatures of a file, armored or not."""
    from pysequoia import Sig
    from pysequoia.packet import PacketPile

    try:
        for number, packet in enumerate(PacketPile.from_bytes(unsafe_signatures)):
            if number < SIGNATURES:
                yield Sig.from_bytes(bytes(packet))
    except (RuntimeError, ValueError) as error:
        raise BadSignature(f"malformed: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Returns the first line of Sequoia's message, without the backtrace behind it."""
    return str(error).partition("\n")[0][:200]
