"""Databases of vulnerabilities: Debian's tracker, and OSV."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.inspect.advisories import Advisory, read, score
from pipeline.model.errors import BadInput

TRACKER = {
    "glibc": {
        "CVE-2023-0001": {
            "scope": "local",
            "releases": {
                "bookworm": {"status": "resolved", "fixed_version": "2.36-9+deb12u4", "urgency": "high**"},
                "trixie": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
            },
        },
        "CVE-2023-0002": {"releases": {"bookworm": {"status": "open", "urgency": "not yet assigned"}}},
        "CVE-2023-0003": {"releases": {"bookworm": {"status": "undetermined", "urgency": "low"}}},
    }
}


def osv(events: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "Debian:12", "name": "glibc"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}, {"type": "GIT", "events": []}],
    }
    return {"id": "DEBIAN-CVE-2023-0001", "affected": [affected | more.pop("affected", {})], **more}


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_the_tracker(tmp_path: Path) -> None:
    base = Advisory("CVE-2023-0001", "debian", "bookworm", "glibc", "high", fixed="2.36-9+deb12u4")
    assert read(written(tmp_path / "a.json", TRACKER)) == [
        base,
        base._replace(name="CVE-2023-0002", severity="unknown", fixed=""),
        base._replace(name="CVE-2023-0003", severity="low", fixed=""),
    ]


@pytest.mark.parametrize(("events", "affected"), [
    ([{"introduced": "0"}], "1 2 3 4 5"),
    ([{"introduced": "0"}, {"fixed": "3"}], "1 2"),
    ([{"introduced": "2"}, {"last_affected": "3"}], "2 3"),
    ([{"introduced": "0"}, {"fixed": "2"}, {"introduced": "4"}], "1 4 5"),
    ([], ""),
])  # fmt: skip
def test_ranges_of_osv(tmp_path: Path, events: list[dict[str, str]], affected: str) -> None:
    advisories = read(written(tmp_path / "a.json", osv(events)))
    assert [version for version in "12345" if any(each.affects(version) for each in advisories)] == affected.split()


def test_listed_versions_of_osv(tmp_path: Path) -> None:
    (one,) = read(written(tmp_path / "a.json", osv([], affected={"versions": ["1", "3"], "ranges": []})))
    assert [version for version in "1234" if one.affects(version)] == ["1", "3"]


CRITICAL = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}


@pytest.mark.parametrize(("more", "severity"), [
    ({}, "unknown"),
    ({"severity": [CRITICAL]}, "critical"),
    ({"severity": [CRITICAL], "affected": {"ecosystem_specific": {"urgency": "low"}}}, "low"),
    ({"severity": [CRITICAL], "affected": {"ecosystem_specific": {"urgency": "not yet assigned"}}}, "critical"),
    ({"database_specific": {"severity": "MODERATE"}}, "medium"),
    ({"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]}, "unknown"),
])  # fmt: skip
def test_severities_of_osv(tmp_path: Path, more: dict[str, Any], severity: str) -> None:
    (one,) = read(written(tmp_path / "a.json", osv([{"introduced": "0"}], **more)))
    assert (one.severity, one.name, one.release) == (severity, "CVE-2023-0001", "12")


@pytest.mark.parametrize(("vector", "wanted"), [  # CVSS 3.1, examples: base scores of published vulnerabilities
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
    ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
    ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
    ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
    ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N", 5.9),
    ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
])  # fmt: skip
def test_the_score_of_a_vector(vector: str, wanted: float) -> None:
    assert score(vector) == wanted


def test_a_folder_and_a_zip_of_records(tmp_path: Path) -> None:
    record = osv([{"introduced": "0"}])
    (tmp_path / "folder").mkdir()
    for name in ("a.json", "b.json"):
        written(tmp_path / "folder" / name, record)
    written(tmp_path / "folder/c.json", record | {"withdrawn": "2024-01-01T00:00:00Z"})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.json", json.dumps(record))
        archive.writestr("README", "x")
    assert len(read(tmp_path / "folder")) == 2
    assert len(read(tmp_path / "all.zip")) == 1


@pytest.mark.parametrize("text", [
    "", "[]", "1", "{", '{"a": 1}', '{"a": {"b": {}}}', '{"a": {"b": {"releases": {"c": {}}}}}',
    '{"id": 1, "affected": 1}', '{"id": "a", "affected": [{}]}',
    '{"id": "a", "affected": [{"package": {"name": "x", "ecosystem": 1}}]}',
    json.dumps(osv([{"introduced": "0"}], severity=[{"type": "CVSS_V3", "score": "x"}])),
])  # fmt: skip
def test_what_is_no_database_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadInput, match=r"a\.json: "):
        read(tmp_path / "a.json")


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read(tmp_path / "none.json")
