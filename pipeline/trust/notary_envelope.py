"""Envelopes of Notary Project signatures: all that JWS and COSE have in common (notaryproject/specifications,
signature-specification.md, "Signature Envelope").

An envelope that a reader returns is well-formed, and nothing more: neither its signature nor its certificates are
verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.trust.error import SignatureRefusal

PREFIX = "io.cncf.notary."
SCHEME, EXPIRY = f"{PREFIX}signingScheme", f"{PREFIX}expiry"
SIGNING_TIME, AUTHENTIC_TIME = f"{PREFIX}signingTime", f"{PREFIX}authenticSigningTime"
TIMESTAMP = f"{PREFIX}timestampSignature"
PLUGINS = (f"{PREFIX}verificationPlugin", f"{PREFIX}verificationPluginMinVersion")
"""Attributes that name a program which has to verify, too."""
X509, AUTHORITY = "notary.x509", "notary.x509.signingAuthority"
"""Signing schemes (signing-scheme.md): the time of a signature is claimed by the signer, or by a signing authority."""
TIMES = {X509: SIGNING_TIME, AUTHORITY: AUTHENTIC_TIME}
SIGNED = {SCHEME, EXPIRY, SIGNING_TIME, AUTHENTIC_TIME, *PLUGINS}
"""Attributes that count only where they are signed."""
LARGEST = 1 << 22
"""Maximum size of an envelope, in bytes."""
LONGEST_CHAIN = 10
"""Maximum number of certificates in an envelope."""


class Envelope(NamedTuple):
    """A signature with its attributes.

    algorithm: as JWA names it (PS256, …). signed: the bytes that `signature` is of. time: of the signature, as the
    signer claims it; expiry: end of the artifact's use, None without one; both in seconds since 1970 UTC. unknown:
    critical attributes without a meaning here. chain: certificates in DER, the signer's first. timestamp: RFC 3161
    token or None.
    """

    payload: bytes
    content_type: str
    algorithm: str
    signed: bytes
    signature: bytes
    scheme: str
    time: int
    expiry: int | None
    unknown: tuple[str, ...]
    chain: tuple[bytes, ...]
    timestamp: bytes | None


class Attributes(NamedTuple):
    """The signed attributes of an envelope (signature-specification.md, "Signed Attributes")."""

    scheme: str
    time: int
    expiry: int | None
    unknown: tuple[str, ...]


def attributes(unsafe: Mapping[Any, Any], unsafe_critical: object, time: Callable[[Any], int]) -> Attributes:
    """Returns the signed attributes in a protected header.

    unsafe_critical: its list of critical ones. time: decodes the time of a format, or raises SignatureRefusal.
    SignatureRefusal if one that has to be critical is not, or one that is critical is not there.
    """
    scheme = unsafe.get(SCHEME)
    if not isinstance(scheme, str) or scheme not in TIMES:
        raise SignatureRefusal(f"signing scheme {str(scheme)[:80]!r}: {X509} and {AUTHORITY} are known")
    if any(name in unsafe for name in TIMES.values() if name != TIMES[scheme]):
        raise SignatureRefusal(f"a time that is not one of the signing scheme {scheme}")
    if TIMES[scheme] not in unsafe:
        raise SignatureRefusal(f"{TIMES[scheme]} is missing")
    signed_at = time(unsafe[TIMES[scheme]])
    expiry = time(unsafe[EXPIRY]) if EXPIRY in unsafe else None
    if expiry is not None and expiry <= signed_at:
        raise SignatureRefusal("it expires before it was signed")
    understood = {SCHEME, *({AUTHENTIC_TIME} if scheme == AUTHORITY else ()), *({EXPIRY} & unsafe.keys())}
    critical = _critical(unsafe, unsafe_critical)
    if missing := sorted(understood - {*critical}):
        raise SignatureRefusal(f"{', '.join(missing)} has to be critical")
    plugins = [name for name in PLUGINS if name in unsafe]
    unknown = {str(name)[:80] for name in [*critical, *plugins] if name not in understood}
    return Attributes(scheme, signed_at, expiry, tuple(sorted(unknown)))


def unsigned(unsafe_protected: Mapping[Any, Any], unsafe_unprotected: object) -> Mapping[Any, Any]:
    """Returns an unprotected header, if it has nothing that belongs into the protected one, or is there, too."""
    if not isinstance(unsafe_unprotected, dict):
        raise SignatureRefusal("the unprotected header is missing")
    for name in unsafe_unprotected:
        if name in unsafe_protected or name in SIGNED:
            raise SignatureRefusal(f"{str(name)[:80]} stands in the unprotected header")
    return unsafe_unprotected


def chain(unsafe_certificates: object, decode: Callable[[Any], bytes]) -> tuple[bytes, ...]:
    """Returns the certificates of an envelope, each decoded."""
    if not isinstance(unsafe_certificates, list) or not unsafe_certificates:
        raise SignatureRefusal("no certificates")
    if len(unsafe_certificates) > LONGEST_CHAIN:
        raise SignatureRefusal(f"more than {LONGEST_CHAIN} certificates")
    return tuple(map(decode, unsafe_certificates))


def _critical(unsafe: Mapping[Any, Any], unsafe_critical: object) -> Sequence[Any]:
    """Returns the list of critical attributes, all of which are there (RFC 7515, 4.1.11; RFC 9052, 3.1)."""
    if not isinstance(unsafe_critical, list) or not unsafe_critical:
        raise SignatureRefusal("the list of critical attributes is missing")
    if not all(type(name) in (int, str) and name in unsafe for name in unsafe_critical):
        raise SignatureRefusal("a critical attribute is not there")
    if len({*unsafe_critical}) != len(unsafe_critical):
        raise SignatureRefusal("a critical attribute is named twice")
    return unsafe_critical
