"""Signers, counted."""

from pipeline.trust.signer import Signer


def test_two_signatures_by_one_signer_count_once() -> None:
    first = Signer("certificate", "me@example.org", "https://issuer", 1, "aa", 1)
    again = first._replace(time=2, log_id="bb", log_index=2)
    assert len({first.principal, again.principal}) == 1
    others = [Signer("key", "me@example.org"), first._replace(issuer="https://other"), first._replace(identity="you")]
    assert len({each.principal for each in (first, *others)}) == 4
