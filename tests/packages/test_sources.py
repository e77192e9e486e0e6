"""Sources of packages: what a project names, and what is wrong with it, with places."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from pysequoia import Cert

from pipeline.language.problem import Problems
from pipeline.packages import sources
from pipeline.planning.describe import sources_schema
from tests.packages.repository import certificate


def write(folder: Path, text: str) -> None:
    (folder / "sources.yml").write_text(text)


def test_every_project_has_the_built_in_releases(tmp_path: Path) -> None:
    found = sources.load(tmp_path)
    assert found.default == "trixie" and found.releases.keys() == {"trixie", "bookworm", "noble"}
    assert [line for source in found("trixie") for line in source.lines()] == [
        "debian trixie main non-free-firmware", "debian trixie-updates main non-free-firmware",
        "debian-security trixie-security main"
    ]  # fmt: skip
    assert [source.name for source in found("noble") if source.has("arm64")] == ["ubuntu-ports"]


def test_a_project_adds_releases_and_replaces_them(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/own.asc").write_text(certificate())
    write(
        tmp_path,
        """\
mine:
  - {archive: debian, suites: [bookworm], components: [main, contrib], snapshot: 2026-01-31}
  - {url: "https://packages.example.org/apt", suites: [stable], signed-by: keys/own.asc}
trixie: [{archive: debian, suites: [trixie], architectures: [amd64]}]
""",
    )
    found = sources.load(tmp_path)
    assert found.default == "mine" and found("bookworm") and len(found("trixie")) == 1
    assert [line for source in found("") for line in source.lines()] == [
        "debian@20260131 bookworm main contrib", "https://packages.example.org/apt stable main"
    ]  # fmt: skip
    assert not found("trixie")[0].has("arm64")


def test_keys_of_debian_and_ubuntu_come_along() -> None:
    for path in set(sources.ARCHIVES.values()):
        assert Cert.split_file(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: [{archiv: debian, suites: [a]}]", "1:6: x[0]: unknown key 'archiv' (did you mean 'archive'?)"),
        ("x: [{archive: debian}]", "1:5: x[0]: 'suites' is missing"),
        ("x: [{archive: debian, suites: []}]", "1:31: x[0].suites: suites is empty (name one"),
        ("x: []", "1:4: x: has no source (name one)"),
        ("x: [{suites: [a]}]", "1:5: x[0]: needs exactly one of archive and url"),
        ("x: [{archive: debain, suites: [a]}]",
         "1:15: x[0].archive: 'signed-by' is missing for debain (did you mean 'debian'?)"),
        ("x: [{url: 'https://x.example', suites: [a]}]",
         "1:11: x[0].url: 'signed-by' is missing for https://x.example (name the file of its keys)"),
        ("x: [{url: 'ftp://x.example', suites: [a]}]",
         "1:11: x[0].url: 'ftp://x.example' is not a URL (https://…, http://… or file:/…) without a password"),
        ("x: [{archive: debian, suites: [a], signed-by: none.asc}]",
         "1:47: x[0].signed-by: there is no file 'none.asc' (it has the archive's OpenPGP certificates)"),
        ("x: [{archive: debian, suites: [a], signed-by: ../../etc/passwd}]",
         "1:47: x[0].signed-by: '../../etc/passwd' lies outside the project"
         " (NODEKILN_OUTSIDE=1 in the environment allows it)"),
        ("x: [{archive: debian, suites: [a], snapshot: 2999-01-01}]",
         "1:46: x[0].snapshot: 2999-01-01 is in the future"),
        ("x: [{archive: debian, suites: [a], snapshot: 2026-02-30}]",
         "1:46: x[0].snapshot: '2026-02-30' is not a day of the calendar"),
        ("x: [{archive: debian, suites: [a], snapshot: 20260230}]", "1:46: x[0].snapshot: expected a date, YYYY-MM-DD"),
        ("x:\\n - {archive: debian, suites: [a]}\\n - {archive: debian, suites: [a, b], components: [contrib]}",
         "3:31: x[1].suites[0]: debian a stands twice (it is in x[0] already; one source has all its components)"),
        ("x: [{archive: debian, suites: [a, a]}]", "1:35: x[0].suites[1]: 'a' stands twice"),
        ("[]", "1:1: expected a mapping, not a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(
    tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODEKILN_OUTSIDE")
    write(tmp_path, text.replace("\\n", "\n"))
    with pytest.raises(Problems) as error:
        sources.load()
    [line] = str(error.value).splitlines()
    assert line.startswith(f"sources.yml:{message}")


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = sources_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {"x": [{"archive": "debian", "suites": ["trixie"], "snapshot": "2026-01-01", "signed-by": "x"}]}
    assert validator.is_valid(good)
    for bad in ({"x": [{"archive": "debian"}]}, {"x": [{"suites": ["a"], "archiv": "x"}]}, {"x": {}}, []):
        assert not validator.is_valid(bad)
