"""The signer: what a verified signature comes to, whatever its format."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Signer(NamedTuple):
    """The signer of something, and the evidence of the time.

    kind: "key" for a public key, "certificate" for a certificate that a trusted authority issued.
    identity: a key's digest (sha256:… of its SubjectPublicKeyInfo); a keyless certificate's subject alternative name;
    the subject of any other certificate (RFC 4514).
    issuer: URL of the OpenID Connect issuer that a keyless certificate names; else "".
    time: verified time of the signature, in seconds since 1970 UTC; None if nothing vouches for one.
    key: digest of the key that a certificate binds to its subject for years, as for `identity`; "" where it is made for
    one signature, and where it is the identity.
    log_id, log_index: id of a transparency log (hexadecimal) and the entry's index in it; None without an entry.
    """

    kind: Literal["key", "certificate"]
    identity: str
    issuer: str = ""
    time: int | None = None
    log_id: str | None = None
    log_index: int | None = None
    key: str = ""

    @property
    def principal(self) -> tuple[str, str, str]:
        """Kind, issuer and identity: two signatures with equal ones are by one signer, and count once."""
        return self.kind, self.issuer, self.identity

    @property
    def marks(self) -> frozenset[tuple[str, str, str]]:
        """`principal`, and the key as one: signers that share a mark are one."""
        return frozenset({self.principal} | ({("key", "", self.key)} if self.key else set()))
