"""Cases of sigstore's conformance suite: bundles with their artifacts, roots, keys and signers."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from pipeline.trust import bundle, keys, root
from pipeline.trust.error import SignatureRefusal
from tests.trust.vectors import SIGSTORE, public_root

IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"


def data(case: Path) -> bytes:
    """Returns the bundle of a case."""
    return (case / "bundle.sigstore.json").read_bytes()


def artifact(case: Path) -> bytes:
    """Returns the artifact of a case: its own, or the one of all."""
    own = case / "artifact"
    return (own if own.exists() else SIGSTORE / "a.txt").read_bytes()


def root_file(case: Path) -> bytes:
    """Returns the root of a case: its own, or that of the public instance."""
    own = case / "trusted_root.json"
    return own.read_bytes() if own.exists() else _public()


def expected(case: Path) -> tuple[str, str]:
    """Returns identity and issuer that the signer of a case has to have."""
    return tuple(
        (case / name).read_text().strip() if (case / name).exists() else default
        for name, default in (("identity", IDENTITY), ("issuer", ISSUER))
    )


def verify(case: Path, unsafe_data: bytes | None = None, *, with_artifact: bool = True) -> bundle.Verification:
    """Verifies the bundle of a case, or other data in its stead: signature, artifact and signer. SignatureRefusal."""
    own = artifact(case)
    trusted = root.parse(root_file(case))
    key = keys.load((case / "key.pub").read_bytes()) if (case / "key.pub").exists() else None
    unsafe_data = data(case) if unsafe_data is None else unsafe_data
    result = bundle.verify(unsafe_data, trusted, key=key, artifact=own if with_artifact else None)
    if f"sha256:{hashlib.sha256(own).hexdigest()}" not in result.digests:
        raise SignatureRefusal("it is about another artifact")
    if key is None and (result.signer.identity, result.signer.issuer) != expected(case):
        raise SignatureRefusal("somebody else signed it")
    return result


@functools.cache
def _public() -> bytes:
    return public_root()
