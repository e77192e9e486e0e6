"""Warnings about roots of keyless signatures whose newest key is old."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.language.problem import Problem
from pipeline.planning import root_age, trust_policy
from pipeline.planning.load import load
from tests.trust.test_root import LOG, ROOT

START = datetime(2024, 1, 1, tzinfo=UTC)
"""Of all keys of ROOT."""
RULES = """\
rules:
- match: ["**"]
  signers:
  - {keyless: {issuer: "https://i.example", identity: me}, root: root.json}
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("specs").mkdir()
    Path("specs/x.yml").write_text("build: {formats: [tar]}\n")
    Path("specs/trust.yml").write_text(RULES)
    Path("specs/root.json").write_text(json.dumps(ROOT))


def warnings(now: datetime) -> list[Problem]:
    policy = trust_policy.read(load(Path("specs/x.yml")))
    assert policy
    return root_age.warnings(policy, now)


def test_a_root_whose_newest_key_is_older_than_a_year_is_named_at_its_place() -> None:
    assert warnings(START + timedelta(days=365)) == []
    [warning] = warnings(START + timedelta(days=365, seconds=1))
    assert str(warning).startswith("specs/trust.yml:4:66: the newest key of 'root.json' is of 2024-01-01, more than a ")


@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"])
def test_one_new_key_of_any_part_is_enough(part: str) -> None:
    valid = {"start": "2025-01-01T00:00:00Z"}
    [known] = ROOT[part]
    key = {**LOG["publicKey"], "validFor": valid}
    new = {**known, "publicKey": key} if known is LOG else {**known, "validFor": valid}
    Path("specs/root.json").write_text(json.dumps({**ROOT, part: [known, new]}))
    assert warnings(datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert len(warnings(datetime(2026, 1, 2, 1, tzinfo=UTC))) == 1


def test_a_rule_of_the_spec_and_what_is_no_root() -> None:
    now = START + timedelta(days=1000)
    Path("specs/x.yml").write_text("trust:\n  " + RULES.replace("\n", "\n  ").rstrip() + "\n")
    assert [each.place.file for each in warnings(now)] == ["specs/trust.yml", "specs/x.yml"]
    for text in ("{}", json.dumps({**ROOT, "tlogs": [], "ctlogs": [], "certificateAuthorities": []})):
        Path("specs/root.json").write_text(text)
        assert len(warnings(now)) == (0 if text == "{}" else 2)
    Path("specs/root.json").write_text(json.dumps({"mediaType": ROOT["mediaType"]}))
    assert warnings(now) == []
