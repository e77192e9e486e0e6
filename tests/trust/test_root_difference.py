"""Roots compared: what is new, gone, or valid at other times."""

from __future__ import annotations

import json

from pipeline.trust import root
from pipeline.trust.root_difference import differences
from tests.trust import instance


def test_equal_roots_have_no_difference() -> None:
    own = root.parse(instance.trusted_root())
    assert differences(own, own) == []


def test_each_log_and_authority_that_differs_is_a_line() -> None:
    before = root.parse(instance.trusted_root())
    document = json.loads(instance.trusted_root())
    del document["ctlogs"]
    document["tlogs"][0]["publicKey"]["validFor"]["end"] = "2026-01-02T00:00:00Z"
    document["timestampAuthorities"] = document["certificateAuthorities"]
    lines = differences(before, root.parse(json.dumps(document).encode()))
    assert [line.partition(" (sha256:")[0] for line in lines] == [
        "log of certificates log.example.com", "log of signatures log.example.com", "time stamp authority CN=fulcio",
    ]  # fmt: skip
    assert lines[0].endswith("): gone") and lines[2].endswith("): new, valid from 2020-01-01 on")
    assert lines[1].endswith("): valid from 2020-01-01 to 2026-01-02, not from 2020-01-01 on")
