"""Signers and envelopes of Notary Project signatures, right ones and others, made by `cryptography`."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.trust import cbor, cose, jws
from pipeline.trust.notary_envelope import EXPIRY, SCHEME, SIGNING_TIME, TIMES, X509
from pipeline.trust.notation import PAYLOAD, Artifact
from pipeline.trust.trust_store import TrustStore

TIME = 1_700_000_000
"""Time of signatures and verifications, in seconds since 1970 UTC."""
START, END = TIME - 1000, TIME + 1000
ARTIFACT = Artifact("application/vnd.oci.image.manifest.v1+json", "sha256:" + "ab" * 32, 481)
SUBJECT = "CN=signer,O=acme,ST=WA,C=US"
ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "2048": "PS256", "3072": "PS384", "4096": "PS512"}
"""Kinds of keys -> algorithm of their signatures."""
LABELS = {"alg": cose.ALGORITHM, "crit": cose.CRITICAL, "cty": cose.CONTENT_TYPE, "x5c": cose.X5CHAIN}
"""Headers of JWS -> labels of COSE."""
DROP = object()
"""Value of a header that is not to be there."""
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


class Signer(NamedTuple):
    """A private key with its certificate, and those above it."""

    key: Any
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> list[bytes]:
        return [each.public_bytes(Encoding.DER) for each in (self.certificate, *self.above)]

    def store(self, kind: str = "ca") -> TrustStore:
        """Returns a trust store with the root."""
        return TrustStore(**{"ca": (), "signing_authority": (), "tsa": (), kind: (self.chain[-1],)})


@cache
def new_key(kind: str, number: int = 0) -> Any:
    """Returns the private key of a kind, curve or bits, that has this number."""
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "P-256K": ec.SECP256K1}
    return ec.generate_private_key(curves[kind]()) if kind in curves else rsa.generate_private_key(65537, int(kind))


def usage(*names: str, critical: bool = True) -> tuple[x509.ExtensionType, bool]:
    return x509.KeyUsage(**{name: name in names for name in USAGES}), critical


def extended(*names: str, critical: bool = False) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage([getattr(x509.ExtendedKeyUsageOID, name) for name in names]), critical


def constraints(ca: bool, longest: int | None = None, critical: bool = True) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca, longest), critical


LEAF = (usage("digital_signature"), extended("CODE_SIGNING"))
AUTHORITY = (usage("key_cert_sign"), constraints(True))


def issue(
    subject: str,
    by: Signer | None,
    *extensions: tuple[x509.ExtensionType, bool],
    kind: str = "P-256",
    start: int = START,
    end: int = END,
    hash: hashes.HashAlgorithm | None = None,
) -> Signer:
    """Returns a new signer, whose certificate is issued `by` another, or by itself."""
    key = new_key(kind, hash_number(subject))
    times = [datetime.fromtimestamp(each, UTC) for each in (start, end)]
    builder = x509.CertificateBuilder(serial_number=x509.random_serial_number(), public_key=key.public_key())
    builder = builder.subject_name(x509.Name.from_rfc4514_string(subject))
    builder = builder.issuer_name(by.certificate.subject if by else x509.Name.from_rfc4514_string(subject))
    builder = builder.not_valid_before(times[0]).not_valid_after(times[1])
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    certificate = builder.sign(by.key if by else key, hash or hashes.SHA256())
    return Signer(key, certificate, (by.certificate, *by.above) if by else ())


def hash_number(subject: str) -> int:
    """Returns a number that differs between the subjects of a chain: each has a key of its own."""
    return sum(subject.encode())


@cache
def signer(kind: str = "P-256", subject: str = SUBJECT, end: int = END) -> Signer:
    """Returns a signer with a key of a kind, whose certificate an authority below a root issued."""
    root = issue("CN=root,O=acme,ST=WA,C=US", None, *AUTHORITY)
    authority = issue("CN=authority,O=acme,ST=WA,C=US", root, *AUTHORITY)
    return issue(subject, authority, *LEAF, kind=kind, end=end)


def payload(artifact: Artifact = ARTIFACT, **fields: Any) -> bytes:
    media_type, digest, size = artifact
    return json.dumps({"targetArtifact": {"mediaType": media_type, "digest": digest, "size": size, **fields}}).encode()


def headers(by: Signer, scheme: str = X509, expiry: int | None = None) -> dict[str, Any]:
    """Returns a protected header, with JWS's names, and times as numbers."""
    critical = [SCHEME, *([TIMES[scheme]] if scheme != X509 else []), *([EXPIRY] if expiry else [])]
    times = {TIMES[scheme]: TIME, **({EXPIRY: expiry} if expiry else {})}
    return {"alg": algorithm(by.key), "crit": critical, "cty": PAYLOAD, SCHEME: scheme, **times}


def algorithm(key: Any) -> str:
    size = str(key.key_size)
    return ALGORITHMS[size if size in ALGORITHMS else f"P-{size}"]


def sign(key: Any, data: bytes, padded: str = "pss") -> bytes:
    """Returns a signature of `data` as JWS and COSE have it."""
    hash = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm(key)[2:]]()
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hash), hash.digest_size)
        return key.sign(data, pss if padded == "pss" else padding.PKCS1v15(), hash)
    size = (key.key_size + 7) // 8
    numbers = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hash)))
    return b"".join(each.to_bytes(size, "big") for each in numbers)


def envelope(
    kind: str,
    by: Signer,
    content: bytes | None = None,
    protected: dict[Any, Any] | None = None,
    unprotected: dict[Any, Any] | None = None,
    **options: Any,
) -> bytes:
    """Returns an envelope, jws or cose. protected, unprotected: changes of its headers. options: of `headers`."""
    head = {**headers(by, **options), **(protected or {})}
    tail = {"x5c": by.chain, **(unprotected or {})}
    head, tail = ({name: value for name, value in each.items() if value is not DROP} for each in (head, tail))
    return {"jws": write_jws, "cose": write_cose}[kind](by, content or payload(), head, tail)


def write_jws(by: Signer, content: bytes, head: dict[Any, Any], tail: dict[Any, Any]) -> bytes:
    head = {
        name: rfc3339(value) if name in TIME_NAMES and type(value) is int else value for name, value in head.items()
    }
    tail = {name: _base64(value) for name, value in tail.items()}
    fields = {"payload": url(content), "protected": url(json.dumps(head).encode()), "header": tail}
    signature = sign(by.key, f"{fields['protected']}.{fields['payload']}".encode())
    return json.dumps({**fields, "signature": url(signature)}).encode()


def write_cose(by: Signer, content: bytes, head: dict[Any, Any], tail: dict[Any, Any]) -> bytes:
    numbers = {name: number for number, name in cose.ALGORITHMS.items()}
    head = {
        name: cbor.Tag(1, value) if name in TIME_NAMES and type(value) is int else value for name, value in head.items()
    }
    if isinstance(head.get("alg"), str):
        head["alg"] = numbers.get(head["alg"], head["alg"])
    head, tail = ({LABELS.get(name, name): value for name, value in each.items()} for each in (head, tail))
    raw = cbor.encode(head)
    signature = sign(by.key, cbor.encode(["Signature1", raw, b"", content]))
    return cbor.encode(cbor.Tag(cose.SIGN1, [raw, tail, content, signature]))


TIME_NAMES = {EXPIRY, SIGNING_TIME, *TIMES.values()}
MEDIA_TYPES = {"jws": jws.MEDIA_TYPE, "cose": cose.MEDIA_TYPE}


def url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def rfc3339(seconds: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def _base64(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_base64(each) for each in value] if isinstance(value, list) else value
