"""Bundles: every case of sigstore's conformance suite with its verdict, and the traps of the format."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.trust import bundle, keys, root
from pipeline.trust.error import SignatureRefusal
from tests.project import ROOT
from tests.trust import sigstore
from tests.trust.vectors import SIGSTORE, cases, needs_vectors

KEYLESS, MANAGED = SIGSTORE / "rekor2-checkpoint-cosigned", SIGSTORE / "managed-key-and-trusted-root"
ENVELOPE, REKOR1 = SIGSTORE / "rekor2-dsse-happy-path", SIGSTORE / "intoto-with-custom-trust-root"
REASONS = {
    "bundle-empty-certificate-chain_fail": "an empty chain",
    "bundle-from-wrong-instance_fail": "the root has no log",
    "bundle-malformed-json_fail": "not JSON",
    "bundle-negative-log-index_fail": "logIndex is not an integer",
    "checkpoint-bad-keyhint_fail": "checkpoint: no signature of",
    "dsse-invalid-sig_fail": "signature: the signature is not one of these data",
    "dsse-mismatch-envelope_fail": "dsse 0.0.1: it is of another payload",
    "incorrect-public-key_fail": "promise: the signature is not one of these data",
    "intoto-expired-certificate_fail": "certificate: not valid at 2023-02-01",
    "intoto-missing-inclusion-proof_fail": "inclusionProof is missing",
    "intoto-set-outside-signing-cert-validity_fail": "certificate: not valid at 2023-02-02",
    "invalid-checkpoint-signature_fail": "checkpoint: the signature is not one of these data",
    "invalid-inclusion-proof_fail": "checkpoint is missing",
    "managed-key-no-key_fail": "a managed key, and none is trusted",
    "managed-key-wrong-key_fail": "not a public key",
    "rekor2-checkpoint-missing-log-signature_fail": "not a note with signatures",
    "rekor2-checkpoint-missing-root-hash_fail": "checkpoint: the signature is not one of these data",
    "rekor2-checkpoint-missing-size_fail": "checkpoint: the signature is not one of these data",
    "rekor2-checkpoint-no-matching-signature_fail": "checkpoint: no signature of",
    "rekor2-dsse-mismatch-envelope_fail": "it is of other data",
    "rekor2-dsse-mismatch-sig_fail": "it has another signature",
    "rekor2-no-inclusion-proof_fail": "inclusionProof is missing",
    "rekor2-no-timestamp_fail": "no verified time",
    "rekor2-timestamp-outside-tsa-cert-validity_fail": "not valid at 2025-08-07",
    "rekor2-timestamp-payload-mismatch_fail": "time stamp: it is of other data",
    "rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail": "the root has no authority that signed it",
    "rekor2-timestamp-with-incorrect-time_fail": "signedTimestamp is not base64",
    "signature-mismatch_fail": "signature: the signature is not one of these data",
    "trust-root-tlog-missing-validity-start_fail": "validFor.start is missing",
    "wrong-hashedrekord-artifact_fail": "it is of other data",
    "wrong-hashedrekord-entry_fail": "it is of other data",
    "wrong-material_fail": "of another artifact",
}
"""Cases that are refused -> a part of the message."""


def changed(case: Path, change: Callable[[Any], None]) -> bytes:
    """Returns the bundle of `case` after `change` of the document."""
    document = json.loads(sigstore.data(case))
    change(document)
    return json.dumps(document).encode()


def refused(case: Path, change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(SignatureRefusal, match=message):
        sigstore.verify(case, changed(case, change))


@needs_vectors
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case_of_the_conformance_suite_has_its_verdict(case: Path) -> None:
    if not case.name.endswith("_fail"):
        sigstore.verify(case)
        return
    with pytest.raises(SignatureRefusal, match=REASONS.get(case.name, ".")) as caught:
        sigstore.verify(case)
    assert "\n" not in str(caught.value)


@needs_vectors
def test_the_suite_is_there() -> None:
    assert len(cases()) >= 46 and {case.name for case in cases() if case.name.endswith("_fail")} >= REASONS.keys()


@needs_vectors
def test_a_signer_has_issuer_identity_time_and_place_in_the_log() -> None:
    signer = sigstore.verify(KEYLESS).signer
    assert signer.kind == "certificate" and signer.principal == ("certificate", sigstore.ISSUER, sigstore.IDENTITY)
    assert signer.log_index == 735 and signer.log_id is not None and signer.log_id.startswith("f30d5a99")
    assert signer.time == 1749729740
    signer = sigstore.verify(MANAGED).signer
    assert signer.principal == ("key", "", "sha256:4cb32c4837c6dda8cfb1681efb3fef5f94ffce5b979e6bdb9139302c857af139")
    assert (signer.time, signer.log_index) == (1767810965, 51753644)


@needs_vectors
def test_a_digest_suffices_where_the_signature_is_of_it() -> None:
    assert sigstore.verify(KEYLESS, with_artifact=False) == sigstore.verify(KEYLESS)


@needs_vectors
def test_an_envelope_is_about_the_subjects_of_its_statement() -> None:
    result = sigstore.verify(ENVELOPE, with_artifact=False)
    assert result.predicate_type == "https://slsa.dev/provenance/v1" and len(result.digests) == 1
    assert sigstore.verify(KEYLESS).predicate_type == ""


@needs_vectors
def test_a_time_stamp_with_line_breaks_removed_is_refused_for_its_time() -> None:
    def join(document: Any) -> None:
        (stamp,) = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
        stamp["signedTimestamp"] = stamp["signedTimestamp"].replace("\n", "")

    refused(SIGSTORE / "rekor2-timestamp-with-incorrect-time_fail", join, "not valid at 2025-07-15")


@needs_vectors
@pytest.mark.parametrize("name", ["managed-key-no-key_fail", "managed-key-wrong-key_fail"])
def test_a_case_without_its_key_is_right_with_the_key_that_the_log_names(name: str) -> None:
    case = SIGSTORE / name
    (entry,) = json.loads(sigstore.data(case))["verificationMaterial"]["tlogEntries"]
    body = json.loads(base64.b64decode(entry["canonicalizedBody"]))
    key = keys.load(base64.b64decode(body["spec"]["signature"]["publicKey"]["content"]))
    trusted = root.parse(sigstore.root_file(case))
    result = bundle.verify(sigstore.data(case), trusted, key=key, artifact=sigstore.artifact(case))
    assert result.signer.identity == keys.digest(key) and result.signer.time == 1766077479


@needs_vectors
def test_a_managed_key_needs_no_root_and_a_root_needs_an_entry() -> None:
    key = keys.load((MANAGED / "key.pub").read_bytes())
    signer = bundle.verify(sigstore.data(MANAGED), None, key=key).signer
    assert (signer.identity, signer.time, signer.log_id) == (keys.digest(key), None, None)
    refused(MANAGED, lambda document: document["verificationMaterial"].pop("tlogEntries"), "no log has it")


@needs_vectors
def test_a_key_does_not_verify_a_keyless_bundle_nor_a_missing_root() -> None:
    key = keys.load((MANAGED / "key.pub").read_bytes())
    with pytest.raises(SignatureRefusal, match="not by the managed key"):
        bundle.verify(sigstore.data(KEYLESS), root.parse(sigstore.root_file(KEYLESS)), key=key)
    with pytest.raises(SignatureRefusal, match="no root"):
        bundle.verify(sigstore.data(KEYLESS), None)


@needs_vectors
def test_several_signatures_of_an_envelope_are_refused() -> None:
    def twice(document: Any) -> None:
        document["dsseEnvelope"]["signatures"] *= 2

    refused(ENVELOPE, twice, "signatures has 2 entries: 1 are taken")
    refused(ENVELOPE, lambda document: document["dsseEnvelope"]["signatures"].clear(), "without a signature")


@needs_vectors
def test_a_message_and_an_envelope_exclude_each_other() -> None:
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": "AA=="}, "signature": "AA=="}
    refused(ENVELOPE, lambda document: document.update(messageSignature=message), "one of message and envelope")
    refused(ENVELOPE, lambda document: document.pop("dsseEnvelope"), "one of message and envelope")


@needs_vectors
def test_media_types_that_are_swapped_are_refused() -> None:
    older = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    refused(KEYLESS, lambda document: document.update(mediaType=older), "no certificate in version 0.2")
    newer = "application/vnd.dev.sigstore.bundle.v0.3+json"
    refused(REKOR1, lambda document: document.update(mediaType=newer), "no x509CertificateChain in version 0.3")
    manifest = "application/vnd.oci.image.manifest.v1+json"
    refused(KEYLESS, lambda document: document.update(mediaType=manifest), "is not known")
    refused(
        ENVELOPE, lambda document: document["dsseEnvelope"].update(payloadType="text/plain"), "not one of these data"
    )


@needs_vectors
def test_a_promise_alone_is_enough_for_version_1_only() -> None:
    def drop(document: Any, version: str) -> None:
        document["mediaType"] = f"application/vnd.dev.sigstore.bundle+json;version={version}"
        del document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]

    assert sigstore.verify(REKOR1, changed(REKOR1, lambda document: drop(document, "0.1")))
    refused(REKOR1, lambda document: drop(document, "0.2"), "inclusionProof is missing")


@needs_vectors
def test_a_checkpoint_of_another_origin_is_refused() -> None:
    def rename(document: Any) -> None:
        checkpoint = document["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
        checkpoint["envelope"] = checkpoint["envelope"].partition("\n")[2]

    refused(KEYLESS, rename, "checkpoint")


@needs_vectors
@pytest.mark.parametrize("end", [None, "2025-06-12T12:02:20Z", "2025-06-12T12:02:19.999Z"])
def test_validity_intervals_are_closed_and_end_may_be_null(end: str | None) -> None:
    case = SIGSTORE / "trust-root-tsa-validity-end-inclusive"
    document = json.loads(sigstore.root_file(case))
    document["timestampAuthorities"][0]["validFor"]["end"] = end
    trusted = root.parse(json.dumps(document).encode())
    if end and end.endswith("19.999Z"):
        with pytest.raises(SignatureRefusal, match="no authority that signed it, valid at its time"):
            bundle.verify(sigstore.data(case), trusted)
    else:
        assert bundle.verify(sigstore.data(case), trusted).signer.time == 1749729740


@needs_vectors
@pytest.mark.parametrize(("kind", "message"), [
    ("tlogs", "root has no log"), ("ctlogs", "none is by a log that the root has"),
    ("certificateAuthorities", "root has no authority"), ("timestampAuthorities", "root has no authority"),
])  # fmt: skip
def test_each_part_of_a_root_is_needed(kind: str, message: str) -> None:
    document = json.loads(sigstore.root_file(KEYLESS))
    document[kind] = []
    with pytest.raises(SignatureRefusal, match=message):
        bundle.verify(sigstore.data(KEYLESS), root.parse(json.dumps(document).encode()))


@needs_vectors
@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_what_has_ended_before_the_signature_is_not_trusted(kind: str) -> None:
    document = json.loads(sigstore.root_file(KEYLESS))
    for each in document[kind]:
        (each["publicKey"] if kind.endswith("logs") else each)["validFor"]["end"] = "2025-06-01T00:00:00Z"
    with pytest.raises(SignatureRefusal):
        bundle.verify(sigstore.data(KEYLESS), root.parse(json.dumps(document).encode()))


@needs_vectors
def test_sizes_and_numbers_have_limits() -> None:
    with pytest.raises(SignatureRefusal, match=f"more than {bundle.LARGEST} bytes"):
        sigstore.verify(KEYLESS, sigstore.data(KEYLESS) + b" " * bundle.LARGEST)

    def many(document: Any) -> None:
        document["verificationMaterial"]["tlogEntries"] *= bundle.ENTRIES + 1

    refused(KEYLESS, many, "tlogEntries has 33 entries: 32 are taken")


@needs_vectors
def test_base64_has_one_spelling() -> None:
    def respell(document: Any) -> None:
        digest = document["messageSignature"]["messageDigest"]
        other = digest["digest"].replace("8=", "9=")
        assert other != digest["digest"] and base64.b64decode(other) == base64.b64decode(digest["digest"])
        digest["digest"] = other

    refused(KEYLESS, respell, "digest is not base64")


def test_cryptography_is_imported_when_something_is_verified_and_not_before() -> None:
    code = "import sys, pipeline.trust.bundle; sys.exit('cryptography' in sys.modules or 'socket' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
