"""Quotes of a TPM: the answers of swtpm to these very commands, and damaged ones."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ondisk import tpm2
from tests.inspect import reports

CREATED, SIGNED = map(bytes.fromhex, reports.document()["quote"])
QUOTE = tpm2.read(CREATED, SIGNED)
REGISTERS = {number: bytes.fromhex(value) for number, value in reports.report().registers["sha256"].items()}


def test_commands_say_their_size_and_have_a_place_for_the_handle():
    for command in (tpm2.create_key(), tpm2.quote(b"nonce")):
        assert tpm2.HEADER.unpack(command).size == len(command)
    assert tpm2.quote(b"nonce")[10:14] == bytes(4) and b"nonce" in tpm2.quote(b"nonce")


def test_the_quote_is_of_the_registers_and_the_nonce():
    tpm2.check(QUOTE.attested, reports.nonce(), REGISTERS)
    assert len(QUOTE.point) == 64


@pytest.mark.parametrize(("nonce", "registers", "why"), [
    (b"another", REGISTERS, "nonce"), (b"", REGISTERS, "nonce"),
    (reports.nonce(), REGISTERS | {4: bytes(32)}, "other registers"),
    (reports.nonce(), {}, "other registers"), (reports.nonce(), REGISTERS | {24: b""}, "other registers"),
])  # fmt: skip
def test_a_quote_for_something_else_is_an_error(nonce, registers, why):
    with pytest.raises(ValueError, match=why):
        tpm2.check(QUOTE.attested, nonce, registers)


@pytest.mark.parametrize("number", [0, 1])
@given(cut=st.integers(0, 300))
def test_an_answer_that_ends_early_is_an_error(number, cut):
    answers = [CREATED, SIGNED]
    answers[number] = answers[number][: min(cut, len(answers[number]) - 1)]
    with pytest.raises(ValueError, match="answer"):
        tpm2.read(*answers)


def test_an_error_of_the_tpm_is_named():
    failed = tpm2.HEADER.pack(tag=0x8001, size=10, code=0x9A2)
    with pytest.raises(ValueError, match="TPM2_CreatePrimary gives 0x9a2"):
        tpm2.read(failed, b"")
    with pytest.raises(ValueError, match="TPM2_Quote gives 0x9a2"):
        tpm2.read(CREATED, failed)


@given(st.integers(10, len(SIGNED) - 1), st.integers(1, 255))
def test_a_damaged_quote_is_an_error_or_another_one(at, flip):
    damaged = bytearray(SIGNED)
    damaged[at] ^= flip
    try:
        quote = tpm2.read(CREATED, bytes(damaged))
        tpm2.check(quote.attested, reports.nonce(), REGISTERS)
    except ValueError:
        return
    assert quote != QUOTE or at < 14 or at >= 14 + 2 + 145 + 4 + 68


@given(st.integers(0, len(QUOTE.attested) - 1), st.binary(max_size=3))
def test_a_damaged_statement_is_read_or_an_error(at, data):
    with contextlib.suppress(ValueError):
        tpm2.check(QUOTE.attested[:at] + data, reports.nonce(), REGISTERS)
