"""Envelopes and trust stores of notation-go and notation-core-go, with the verdicts of their own tests.

notation-go verifies as of now: the time of a verification is one at which its tests were written.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.trust import cose, jws, notation, trust_store
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notation import Artifact
from pipeline.trust.trust_store import TrustStore
from tests.trust.vectors import NOTATION

pytestmark = pytest.mark.skipif(not NOTATION.is_dir() and not os.environ.get("CI"), reason=f"{NOTATION} is missing")
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
SAMPLE = Artifact(DOCKER, "sha256:60043cf45eaebc4c0867fea485a039b598f52fd09fd5b07b0b2d2f88fad9d74e", 528)
STAMPED = Artifact(DOCKER, "sha256:c0669ef34cdc14332c0f1ab0c2c01acb91d96014b172f1a76f3a39e63d1f0bda", 528)
ALPINE = Artifact(
    "application/vnd.oci.image.manifest.v1+json",
    "sha256:19dbd2e48e921426ee8ace4dc892edfb2ecdc1d1a72d5416c83670c30acecef0",
    481,
)
METADATA = Artifact(DOCKER, "sha256:5a07385af4e6b6af81b0ebfd435aedccdfa3507f0609c658209e1aba57159b2b", 942)
ROOT = "CN=Notation Test Root,O=Notary,L=Seattle,ST=WA,C=US"
CA, AUTHORITY = "ca/valid-trust-store", "signingAuthority/valid-trust-store"
TSA = "tsa/test-timestamp"
TEST_TIME = 1_718_700_000
"""2024-06-18, when the time stamps were made; seconds since 1970 UTC."""


def store(*names: str, more: bytes = b"") -> TrustStore:
    """Returns named stores of the vectors as one folder. more: another certificate of a signer, in DER."""
    paths = [path for name in names for path in sorted((NOTATION / "truststore/x509" / name).iterdir())]
    files = {f"x509/{path.parent.parent.name}/{path.parent.name}/{path.name}": path.read_bytes() for path in paths}
    return trust_store.parse({**files, **({"x509/ca/more/more": more} if more else {})})


def certificate(envelope: str) -> bytes:
    """Returns the signer's certificate of an envelope in JSON."""
    return base64.b64decode(json.loads((NOTATION / envelope).read_bytes())["header"]["x5c"][0])


def verify(envelope: str, artifact: Artifact, trusted: TrustStore, **options: Any) -> notation.Verified:
    data = (NOTATION / envelope).read_bytes()
    media_type = jws.MEDIA_TYPE if data.startswith(b"{") else cose.MEDIA_TYPE
    return notation.verify(data, media_type, artifact, trusted, **{"subject": None, "time": TEST_TIME, **options})


def refused(why: str, *words: Any, **options: Any) -> None:
    with pytest.raises(SignatureRefusal, match=why):
        verify(*words, **options)


@pytest.mark.parametrize(("envelope", "own", "other"), [
    ("envelopes/ca_valid_sig_env.json", CA, "ca/valid-trust-store-2"),
    ("envelopes/sa_valid_sig_env.json", AUTHORITY, "signingAuthority/valid-trust-store-2"),
])  # fmt: skip
def test_valid_envelopes(envelope: str, own: str, other: str) -> None:
    """verifier/verifier_test.go, assertNotationVerification: integrity, authenticity, identity, expiry."""
    verified = verify(envelope, SAMPLE, store(own), subject="O=Notary,L=Seattle,ST=WA,C=US")
    assert verified.signer.identity == ROOT and verified.metadata == {}
    refused("trust store", envelope, SAMPLE, store(other))
    refused("trust store", envelope, SAMPLE, store(CA if own == AUTHORITY else AUTHORITY))
    refused("signed by", envelope, SAMPLE, store(own), subject="CN=LOL,O=DummyOrg,L=Hyderabad,ST=TG,C=IN")
    refused("not a name", envelope, SAMPLE, store(own), subject="")
    refused("it signs", envelope, STAMPED, store(own))


def test_an_envelope_that_is_damaged() -> None:
    """The same: "illegal base64 data"."""
    refused("base64url", "envelopes/ca_invalid_sig_env.json", SAMPLE, store(CA))


def test_an_envelope_that_expired() -> None:
    """The same: "digital signature has expired on Fri, 29 Jul 2022 23:59:00"."""
    refused("expired at 2022-07-29 23:59:00 UTC", "envelopes/ca_expired_sig_env.json", SAMPLE, store(CA))
    assert verify("envelopes/ca_expired_sig_env.json", SAMPLE, store(CA), time=1_659_139_139).until == 1_659_139_139


def test_metadata_of_a_signer() -> None:
    """verifier/verifier_test.go, TestVerifyUserMetadata, at the level audit: the certificate was valid for a day."""
    envelope = "envelopes/sig_env_with_metadata.json"
    trusted = store(CA, more=certificate(envelope))
    verified = verify(envelope, METADATA, trusted, time=1_673_460_174)
    assert verified.metadata == {"io.wabbit-networks.buildId": "123", "io.wabbit-networks.buildTime": "1672944615"}
    refused("valid from 2023-01-11 to 2023-01-12", envelope, METADATA, trusted)
    refused("trust store", envelope, METADATA, store(CA), time=1_673_460_174)


@pytest.mark.parametrize("envelope", ["jws_signature.sig", "cose_signature.sig"])
def test_signatures_of_the_layout(envelope: str) -> None:
    """notation_test.go and registry/repository_test.go, which sign and push them; the manifest is in the OCI layout."""
    manifest = (NOTATION / "oci-layout/blobs/sha256" / ALPINE.digest.partition(":")[2]).read_bytes()
    assert len(manifest) == ALPINE.size
    trusted = store(more=certificate("envelopes/jws_signature.sig"))
    assert verify(f"envelopes/{envelope}", ALPINE, trusted).signer.identity == "CN=alpine,O=Notary,L=Seattle,ST=WA,C=US"
    refused("trust store", f"envelopes/{envelope}", ALPINE, store(CA))
    refused("it signs", f"envelopes/{envelope}", SAMPLE, trusted)


@pytest.mark.parametrize(("envelope", "seconds"), [("jwsWithTimestamp", 1718692180), ("coseWithTimestamp", 1718692038)])
def test_time_stamps(envelope: str, seconds: int) -> None:
    """verifier/timestamp_test.go, TestAuthenticTimestamp: verified with the root, refused with another one."""
    envelope = f"timestamp/{envelope}.sig"
    verified = verify(envelope, STAMPED, store(CA, TSA), time=2_000_000_000)
    assert verified.signer.time is not None and abs(verified.signer.time - seconds) < 60 and verified.until is None
    assert verify(envelope, STAMPED, store(CA)).signer.time is None
    refused("time stamp", envelope, STAMPED, store(CA, "tsa/test-mismatch"))


def test_a_time_stamp_within_a_certificate_that_expired_since() -> None:
    """The same: "jws with expired codeSigning cert", and "missing tsa in trust policy and expired codeSigning cert"."""
    envelope = "timestamp/jwsExpiredWithTimestamp.sig"
    own = certificate(envelope)
    verified = verify(envelope, STAMPED, store(CA, TSA, more=own), time=2_000_000_000)
    assert verified.signer.identity == "CN=testTSA,O=Notary,L=Seattle,ST=WA,C=US" and verified.signer.time is not None
    refused("valid from 2024-06-18", envelope, STAMPED, store(CA, more=own), time=2_000_000_000)
    refused("time stamp", envelope, STAMPED, store(CA, "tsa/test-mismatch", more=own))


def test_no_time_stamp_where_the_store_has_authorities() -> None:
    """The same: "no timestamp countersignature was found in the signature envelope"."""
    refused("no time stamp", "timestamp/withoutTimestamp.sig", STAMPED, store(CA, TSA))
    assert verify("timestamp/withoutTimestamp.sig", STAMPED, store(CA)).signer.time is None


@pytest.mark.parametrize("name", ["tsa/test-nonCA", "tsa/test-nonSelfIssued"])
def test_a_store_that_is_refused_verifies_nothing(name: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"x509/{name}/.*root of a time stamp authority"):
        store(CA, name)


def test_each_envelope_of_the_vectors_has_a_verdict() -> None:
    names = {path.name for folder in ("envelopes", "timestamp") for path in (NOTATION / folder).iterdir()}
    text = Path(__file__).read_text()
    assert {name for name in names if name.partition(".")[0] not in text} == set()
