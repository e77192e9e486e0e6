"""Quotes: a key that is pinned at its first use, and signatures that are not its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect import quote
from pipeline.inspect.node_report import BadReport
from pipeline.inspect.running import DIFFERS, EQUAL, NOT_PROVED
from pipeline.model.errors import BadInput
from tests.inspect import reports

KEY = quote.verify(reports.report(), reports.nonce(), "node")


def test_a_key_is_pinned_at_its_first_use(tmp_path):
    file = tmp_path / "node.pem"
    first = quote.compare(KEY, file)
    assert (first.result, first.expected) == (NOT_PROVED, f"{file} is new") and file.read_bytes() == KEY
    assert quote.compare(KEY, file).result == EQUAL


def test_another_tpm_s_key_differs_and_replaces_nothing(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    other = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    file = tmp_path / "node.pem"
    file.write_bytes(other)
    assert quote.compare(KEY, file).result == DIFFERS and file.read_bytes() == other


@pytest.mark.parametrize("data", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_that_is_no_key_is_an_error(tmp_path, data):
    (tmp_path / "node.pem").write_bytes(data)
    with pytest.raises(BadInput, match="not a public key in PEM"):
        quote.compare(KEY, tmp_path / "node.pem")
    with pytest.raises(BadInput, match="Is a directory"):
        quote.compare(KEY, tmp_path)


def test_a_report_without_a_quote_is_an_error():
    with pytest.raises(BadReport, match="node: the report has no quote"):
        quote.verify(reports.report(lambda document: document.pop("quote")), reports.nonce(), "node")


def test_registers_that_were_not_signed_are_an_error():
    for change in (
        reports.with_text(f"{reports.PCR}/4", "00" * 32), reports.with_text(f"{reports.PCR}/4", "x"),
        lambda document: document["texts"].pop(f"{reports.PCR}/23"),
    ):  # fmt: skip
        with pytest.raises(BadReport):
            quote.verify(reports.report(change), reports.nonce(), "node")
    with pytest.raises(BadReport, match="its nonce is another one"):
        quote.verify(reports.report(), bytes(32), "node")


@given(st.sampled_from([0, 1]), st.integers(0, 600), st.integers(1, 255))
def test_a_damaged_answer_gives_no_other_key_that_verifies(number, at, flip):
    def damage(document):
        data = bytearray.fromhex(document["quote"][number])
        data[at % len(data)] ^= flip
        document["quote"][number] = data.hex()

    try:
        assert quote.verify(reports.report(damage), reports.nonce(), "node") == KEY
    except BadReport as error:
        assert str(error).isprintable()
