"""doit cve: an image's packages against a database in a file, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.oci import craft
from tests.project import doit, new_project

SPEC = 'init: ["oci:layout:a"]\nbuild: {formats: [tar], arch: amd64}\n'
STATUS = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u3\n"
CVE = "CVE-2023-0001"
TRACKER = {
    "glibc": {
        CVE: {"releases": {"bookworm": {"status": "resolved", "fixed_version": "2.36-9+deb12u4", "urgency": "high"}}},
        "CVE-2023-0002": {"releases": {"bookworm": {"status": "open", "urgency": "not yet assigned"}}},
    }
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cve") / "project"
    new_project(root, node=SPEC)
    entries = {
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/libc6:amd64.list": b"/lib/libc.so.6\n",
        "etc/os-release": b"ID=debian\nVERSION_CODENAME=bookworm\n",
        "lib/libc.so.6": b"c",
    }
    craft.image(
        root / "layout", [craft.archive(*(craft.entry(path, data=data) for path, data in entries.items()))], name="a"
    )
    (root / "tracker.json").write_text(json.dumps(TRACKER))
    doit("lock:node", cwd=root)
    return root


def test_a_node_from_the_threshold_on_ends_with_1(project: Path) -> None:
    text = doit("cve:node", "--db=tracker.json", code=1, cwd=project)
    assert "node: 2 vulnerabilities" in text
    assert f"high        {CVE}  glibc 2.36-9+deb12u3 (fixed in 2.36-9+deb12u4): libc6" in text
    assert "1 of unknown severity: --threshold=unknown counts them" in text
    assert text.splitlines()[-1] == "node: 1 of severity high or more (--accept names those that do not count)"


def test_others_end_with_0(project: Path) -> None:
    assert "2 vulnerabilities" in doit("cve:node", "--db=tracker.json", "--threshold=critical", cwd=project)
    reason = f"--accept={CVE}@glibc:vulnerable_code_not_present,CVE-1-1"
    text = doit("cve:node", "--db=tracker.json", reason, cwd=project)
    assert "accepted: vulnerable_code_not_present" in text and "accepted, and not there: CVE-1-1" in text


def test_all_of_it_as_json(project: Path) -> None:
    doit("cve:node", "--db=tracker.json", "--threshold=critical", "--json=report.json", cwd=project)
    ((report),) = json.loads((project / "report.json").read_text())
    names = [(each["name"], each["severity"], each["packages"]) for each in report["vulnerabilities"]]
    assert names == [(CVE, "high", ["libc6"]), ("CVE-2023-0002", "unknown", ["libc6"])]


@pytest.mark.parametrize(("words", "message"), [
    ([], "--db is missing: a file with Debian's tracker JSON, or OSV records"),
    (["--db=none.json"], "none.json: No such file or directory"),
    (["--db=tracker.json", "--threshold=severe"], "--threshold: 'severe' is not a severity: unknown, unimportant, low"),
    (["--db=tracker.json", "--accept=x y"], "--accept: 'x y' is not NAME[@SOURCE][:JUSTIFICATION]"),
])  # fmt: skip
def test_wrong_words_end_with_3(project: Path, words: list[str], message: str) -> None:
    assert message in doit("cve:node", *words, code=3, cwd=project)
