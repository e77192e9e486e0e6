"""Checkpoints: who has to have signed them, and what stands in them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.trust import checkpoint, keys
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.root import Log, Validity

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
HINT = b"hint"
LOG = Log(
    "log.example", bytes(32), keys.encoding(KEY.public_key()), HINT, Validity(datetime(2020, 1, 1, tzinfo=UTC), None)
)
HASH = base64.b64encode(bytes(32)).decode()
NOTE = f"log.example\n7\n{HASH}\n"


def line(note: str = NOTE, name: str = "log.example", hint: bytes = HINT, key: Ed25519PrivateKey = KEY) -> str:
    return f"— {name} {base64.b64encode(hint + key.sign(note.encode())).decode()}\n"


WITNESS = line(name="witness.example", hint=b"wits")
SECOND = line(hint=b"2222", key=Ed25519PrivateKey.from_private_bytes(b"2" * 32))


@pytest.mark.parametrize("signatures", [line(), WITNESS + line(), line() + SECOND, SECOND + WITNESS + line() + line()])
def test_the_signature_of_the_log_counts_wherever_it_stands(signatures: str) -> None:
    assert checkpoint.verify(f"{NOTE}\n{signatures}", LOG) == ("log.example", 7, bytes(32))


def test_an_origin_may_go_on_after_the_name_of_the_log() -> None:
    note = NOTE.replace("example\n", "example - 123\n", 1) + "Timestamp: 1\n"
    assert checkpoint.verify(f"{note}\n{line(note)}", LOG).origin == "log.example - 123"


@pytest.mark.parametrize(("note", "message"), [
    (NOTE.replace("log.example", "log.example.org"), "its origin is"), (NOTE.partition("\n")[2], "its origin is"),
    ("\n" + NOTE, "its origin is"), (NOTE.replace("7", "-7"), "no size"), (NOTE.replace("7", "٧"), "no size"),
    ("log.example\n7\n", "no root hash"), ("log.example\n", "no size"), (NOTE.replace(HASH, HASH[:-1]), "not base64"),
    (NOTE.replace("7", "9" * 30), "no size"),
])  # fmt: skip
def test_a_signed_note_that_is_no_checkpoint_of_the_log_is_refused(note: str, message: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"^checkpoint: .*{message}"):
        checkpoint.verify(f"{note}\n{line(note)}", LOG)


@pytest.mark.parametrize(("text", "message"), [
    (f"{NOTE}\n{WITNESS}", "no signature of log.example"), (f"{NOTE}\n{line(hint=b'2222')}", "no signature of"),
    (f"{NOTE}\n{line(name='log.example.org')}", "no signature of"), (f"{NOTE}\n", "not a note"), (NOTE, "not a note"),
    (f"{NOTE}\n{line()[:-1]}", "not a note"), (f"{NOTE}\n{line()}{line(NOTE + 'x')}", "not one of these data"),
    (f"{NOTE}\n{line()}{line().replace('— ', '- ')}", "a malformed line"), (f"{NOTE}\n" + line() * 101, "not a note"),
    ("x" * (1 << 16), "not a note"), ("x" * ((1 << 16) + 1), "more than"),
])  # fmt: skip
def test_a_note_that_the_log_did_not_sign_is_refused(text: str, message: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"^checkpoint: .*{message}"):
        checkpoint.verify(text, LOG)
