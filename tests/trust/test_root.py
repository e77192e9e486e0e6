"""Roots: what each part needs, and intervals of validity."""

from __future__ import annotations

import base64
import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.trust import root
from pipeline.trust.error import SignatureRefusal
from tests.trust.certificates import issue

CERTIFICATE = issue("authority", authority=True).certificate.public_bytes(Encoding.DER)
VALID = {"start": "2024-01-01T00:00:00Z"}
LOG = {"baseUrl": "https://log.example/", "logId": {"keyId": base64.b64encode(bytes(32)).decode()}}
LOG |= {"publicKey": {"rawBytes": "AA==", "validFor": VALID}}
AUTHORITY = {"certChain": {"certificates": [{"rawBytes": base64.b64encode(CERTIFICATE).decode()}]}, "validFor": VALID}
ROOT = {"mediaType": root.MEDIA_TYPES[0], "tlogs": [LOG], "ctlogs": [LOG], "certificateAuthorities": [AUTHORITY]}
ROOT |= {"timestampAuthorities": [AUTHORITY]}


def changed(*path: Any, value: Any) -> bytes:
    """Returns ROOT with another value at `path`."""
    document = place = copy.deepcopy(ROOT)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document).encode()


def test_a_root_has_its_parts() -> None:
    parsed = root.parse(json.dumps(ROOT).encode())
    (log,), (authority,) = parsed.signature_logs, parsed.authorities
    assert (log.origin, log.log_id, log.key_hint) == ("log.example", bytes(32), bytes(4))
    assert authority.path[0].encoding == CERTIFICATE and authority.validity.end is None
    empty = root.parse(json.dumps({"mediaType": root.MEDIA_TYPES[0]}).encode())
    assert empty == ((), (), (), ())


def test_the_key_of_checkpoints_may_have_an_id_of_its_own() -> None:
    own = {"keyId": base64.b64encode(b"hint and more").decode()}
    parsed = root.parse(changed("tlogs", 0, "checkpointKeyId", value=own))
    assert (parsed.signature_logs[0].log_id, parsed.signature_logs[0].key_hint) == (bytes(32), b"hint")


@pytest.mark.parametrize(("path", "value", "message"), [
    (("mediaType",), "text/plain", "mediaType is"), (("tlogs",), {}, "tlogs is not a list"),
    (("tlogs", 0, "publicKey", "validFor"), None, "validFor is missing"),
    (("ctlogs", 0, "publicKey", "validFor"), {"end": "2024-01-01T00:00:00Z"}, "start is missing"),
    (("timestampAuthorities", 0, "validFor"), {"start": ""}, "start is empty"),
    (("certificateAuthorities", 0, "validFor"), {"start": "yesterday"}, "is not a time"),
    (("certificateAuthorities", 0, "validFor"), {"start": "2024-02-30T00:00:00Z"}, "validFor.start"),
    (("certificateAuthorities", 0, "validFor"), {**VALID, "End": "2024-01-01T00:00:00Z"}, "unknown field 'End'"),
    (("certificateAuthorities", 0, "certChain"), {"certificates": []}, "has no certificates"),
    (("certificateAuthorities", 0, "certChain", "certificates", 0, "rawBytes"), "AA==", "certificate: "),
    (("tlogs",), [LOG] * 101, "101 entries: 100 are taken"),
])  # fmt: skip
def test_a_part_that_is_wrong_is_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"^root: .*{message}"):
        root.parse(changed(*path, value=value))


def test_an_interval_includes_its_ends() -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    closed = root.Validity(start, end)
    assert [closed.holds(time) for time in (start - moment, start, end, end + moment)] == [False, True, True, False]
    assert root.Validity(start, None).holds(datetime(9999, 1, 1, tzinfo=UTC))
