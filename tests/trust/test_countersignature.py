"""Time stamps of envelopes, by authorities that openssl plays (openssl-ts(1))."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.trust import countersignature, jws
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.notary_envelope import TIMESTAMP
from tests.judges import need, run
from tests.trust import notary
from tests.trust.notary import AUTHORITY, LEAF, SUBJECT, Signer, extended, issue, usage
from tests.trust.test_notation import verify

NOW = int(time.time())
"""Time of the time stamps, which openssl takes from the clock."""
VALID: dict[str, Any] = {"start": NOW - 86400, "end": NOW + 86400}
ROOT = issue("CN=root of time", None, *AUTHORITY, **VALID)
STAMPING = (usage("digital_signature"), extended("TIME_STAMPING", critical=True))
TSA = issue("CN=time", issue("CN=authority of time", ROOT, *AUTHORITY, **VALID), *STAMPING, **VALID)
CONFIGURATION = """
[tsa]
default_tsa = own
[own]
serial = serial
default_policy = {policy}
digests = sha256, sha384, sha512
signer_digest = sha256
{accuracy}
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def stamp(
    folder: Path, data: bytes, by: Signer = TSA, *words: str, accuracy: str = "secs:5", policy: str = "1.2.3.4"
) -> bytes:
    """Returns a TimeStampToken of `data`. words: options of the query, by default the one for certificates."""
    need("openssl")
    folder.mkdir(exist_ok=True)
    (folder / "data").write_bytes(data)
    (folder / "key").write_bytes(by.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "signer").write_bytes(by.certificate.public_bytes(Encoding.PEM))
    (folder / "chain").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in by.above))
    (folder / "configuration").write_text(
        CONFIGURATION.format(accuracy=accuracy and f"accuracy = {accuracy}", policy=policy)
    )
    (folder / "serial").write_text("01")
    query = ["-query", "-data", "data", "-out", "query", "-sha256", *(words or ["-cert"])]
    reply = [
        "-reply",
        "-config",
        "configuration",
        "-section",
        "own",
        "-queryfile",
        "query",
        "-out",
        "token",
        "-token_out",
    ]
    run("openssl", "ts", *query, cwd=folder)
    run("openssl", "ts", *reply, "-inkey", "key", "-signer", "signer", "-chain", "chain", cwd=folder)
    return (folder / "token").read_bytes()


@pytest.mark.parametrize(("accuracy", "policy", "seconds"), [
    ("secs:5", "1.2.3.4", 5), ("secs:1, millisecs:500, microsecs:100", "1.2.3.4", 1.5001), ("", "1.2.3.4", 0),
    ("millisecs:7", "0.4.0.2023.1.1", 0.007), ("", "0.4.0.2023.1.1", 1),
])  # fmt: skip
def test_a_time_stamp_is_a_range_of_time(tmp_path: Path, accuracy: str, policy: str, seconds: float) -> None:
    token = stamp(tmp_path, b"signature", accuracy=accuracy, policy=policy)
    first, last = countersignature.verify(token, b"signature", [ROOT.chain[0]])
    assert last - first == 2 * timedelta(seconds=seconds)
    assert abs((first - datetime.fromtimestamp(NOW, UTC)).total_seconds()) < 86400


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A time stamp without the certificate of the root, of which no byte counts: the trust store has it."""
    return stamp(tmp_path_factory.mktemp("stamp"), b"signature", TSA._replace(above=TSA.above[:1]))


def test_a_time_stamp_of_something_else_or_by_nobody_is_refused(token: bytes, tmp_path: Path) -> None:
    trusted = [ROOT.chain[0]]
    assert countersignature.verify(token, b"signature", [*trusted, notary.signer().chain[-1]])
    other = issue("CN=root of time", None, *AUTHORITY, kind="P-384", **VALID).chain[0]
    for unsafe, data, roots, why in (
        (None, b"signature", trusted, "no time stamp"),
        (token, b"Signature", trusted, "it is of other data"),
        (token, b"signature", [], "no authority that signed it"),
        (token, b"signature", [other], "no authority that signed it"),
        (token[:-1], b"signature", trusted, "time stamp"),
        (token + b"\0", b"signature", trusted, "time stamp"),
        (token + bytes(1 << 16), b"signature", trusted, "more than"),
        (stamp(tmp_path, b"signature", TSA, "-no_nonce"), b"signature", trusted, "no authority that signed it"),
    ):
        with pytest.raises(SignatureRefusal, match=why):
            countersignature.verify(unsafe, data, roots)


@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.slow)])
def test_a_changed_byte_is_refused(token: bytes, step: int) -> None:
    for at in range(0, len(token), step):
        with pytest.raises(SignatureRefusal):
            changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
            print(at, countersignature.verify(changed, b"signature", [ROOT.chain[0]]))


def test_an_authority_that_was_not_valid_is_refused(tmp_path: Path) -> None:
    for start, end in ((NOW - 172800, NOW - 86400), (NOW + 86400, NOW + 172800)):
        by = issue("CN=time", ROOT, *STAMPING, start=start, end=end)
        with pytest.raises(SignatureRefusal, match="time stamp"):
            countersignature.verify(stamp(tmp_path, b"signature", by), b"signature", [ROOT.chain[0]])


def test_certificates_are_valid_for_the_whole_range(tmp_path: Path) -> None:
    """Of the signer, who signed a second before the certificate's end, as the time stamp may have been after it."""
    trusted, now = [ROOT.chain[0]], int(time.time())
    for start, end, right in (
        (now - 3600, now + 3600, True),
        (now - 3600, now + 60, False),
        (now - 60, now + 3600, False),
    ):
        by = issue(SUBJECT, None, *LEAF, start=start, end=end)
        document = json.loads(notary.envelope("jws", by))
        signature = jws.parse(json.dumps(document).encode()).signature
        document["header"][TIMESTAMP] = notary._base64(stamp(tmp_path, signature, accuracy="secs:600"))
        data, store = json.dumps(document).encode(), by.store()._replace(tsa=tuple(trusted))
        if right:
            verified = verify("jws", data, store, time=now + 10**8)
            assert verified.signer.time is not None and now <= verified.signer.time - 600 < now + 3600
            assert verified.until is None
        else:
            with pytest.raises(SignatureRefusal, match="not at the signature's time"):
                verify("jws", data, store, time=now)


def test_an_authority_below_one_that_is_trusted_is_found_among_other_certificates(tmp_path: Path) -> None:
    more = tuple(issue(f"CN=more {number}", None, *AUTHORITY, **VALID).certificate for number in range(5))
    token = stamp(tmp_path, b"signature", TSA._replace(above=(*more, *TSA.above)))
    assert countersignature.verify(token, b"signature", [ROOT.chain[0]])
    with pytest.raises(SignatureRefusal, match="more than"):
        countersignature.verify(
            stamp(tmp_path, b"signature", TSA._replace(above=more * 5)), b"signature", [ROOT.chain[0]]
        )
