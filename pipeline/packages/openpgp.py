"""OpenPGP signatures of an archive (RFC 9580), verified by Sequoia.

A signature counts if a certificate of the given ones made it and Sequoia's standard policy accepts both now: an
expired or revoked key, a broken algorithm or a signature by anybody else is no signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.packages.error import PackageError

if TYPE_CHECKING:
    from pysequoia import Cert, Sig

CERTIFICATES_LIMIT = 4 << 20
"""Maximum size of a file of certificates, in bytes."""
SIGNATURES = 16
"""Maximum number of detached signatures that are tried."""


class BadSignature(PackageError):
    """No valid signature by a given certificate."""


class ArchiveSigner(NamedTuple):
    """The certificate of a valid signature. fingerprint: hexadecimal. user: its first user id, "" for none."""

    fingerprint: str
    user: str


class SignedText(NamedTuple):
    """A text, and who signed it."""

    text: bytes
    signers: tuple[ArchiveSigner, ...]


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


def verified(unsafe_message: bytes, trusted: list[Cert]) -> SignedText:
    """Returns the text of a message with a cleartext signature, and nothing around it. BadSignature."""
    from pysequoia import verify

    try:
        result = verify(unsafe_message, store=lambda _: trusted)
    except (RuntimeError, ValueError) as error:
        raise BadSignature(_reason(error)) from None
    assert result.bytes is not None
    return SignedText(bytes(result.bytes), _signers(result.valid_sigs, trusted))


def verified_detached(unsafe_text: bytes, unsafe_signatures: bytes, trusted: list[Cert]) -> SignedText:
    """Returns a text that has a valid signature among `unsafe_signatures`. BadSignature."""
    from pysequoia import verify

    reason = "no signature"
    valid = []
    for signature in _signatures(unsafe_signatures):
        try:
            valid += verify(unsafe_text, store=lambda _: trusted, signature=signature).valid_sigs
        except (RuntimeError, ValueError) as error:
            reason = _reason(error)
    if not valid:
        raise BadSignature(reason)
    return SignedText(unsafe_text, _signers(valid, trusted))


def _signers(valid: Iterable[Any], trusted: Iterable[Cert]) -> tuple[ArchiveSigner, ...]:
    """Returns the certificates of valid signatures, each once, sorted."""
    made = {each.certificate for each in valid}
    users = {each.fingerprint: next(map(str, each.user_ids), "") for each in trusted if each.fingerprint in made}
    return tuple(ArchiveSigner(*each) for each in sorted(users.items()))


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
