"""Requests of recipes: which packages they come to, of the sources that the project names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.host.offline import VARIABLE
from pipeline.model.digest import Digest, canonical_json
from pipeline.packages import request, sources
from pipeline.packages.error import PackageError
from pipeline.packages.index import SUFFIXES
from pipeline.packages.package import Package
from tests.oci import servers
from tests.packages.repository import Repository, key, write_sources

pytestmark = pytest.mark.usefixtures("project")


class Wanted(NamedTuple):
    name: str
    arch: str
    folder: str
    request: str
    release: str


def wanted(
    packages: Sequence[str], dependencies: object = True, arch: str = "amd64", name: str = "x", release: str = "test"
) -> Wanted:
    text = canonical_json({"packages": packages, "dependencies": dependencies}).decode()
    return Wanted(name, arch, f"images/{name}", sources.sourced(text, sources.load()(release)), release)


def resolved(*asked: Wanted) -> list[list[dict[str, Any]]]:
    return [found.packages for _, found in request.resolve_all(asked)]


def names(*packages: str, dependencies: object = True, arch: str = "amd64") -> list[str]:
    [found] = resolved(wanted(packages, dependencies, arch))
    return [package["name"] for package in found]


def test_a_package_comes_with_what_it_depends_on_and_nothing_else(distribution: Repository) -> None:
    write_sources(Path(), distribution)
    assert names("tool") == ["libc", "libtool", "tool"]
    assert names("either") == ["either", "libc"]
    assert names("data") == ["data", "libc"]
    assert names() == []


def test_dependencies_can_be_left_out_or_picked(distribution: Repository) -> None:
    write_sources(Path(), distribution)
    assert names("tool", dependencies=False) == ["tool"]
    assert names("broken", "tool", dependencies=False) == ["broken", "tool"]
    assert names("tool", dependencies=["lib*", "!libc"]) == ["libtool", "tool"]


def test_a_package_is_described_exactly(distribution: Repository) -> None:
    write_sources(Path(), distribution)
    [[package]] = resolved(wanted(["tool"], False))
    data = (distribution.folder / package["filename"]).read_bytes()
    assert package["filename"] == "pool/main/t/tool/tool_1.5+b1~x_amd64.deb"
    assert (package["version"], package["architecture"], package["size"]) == ("2:1.5+b1~x", "amd64", len(data))
    assert package["sha256"] in distribution.records["amd64"][2]
    assert (package["suite"], package["archive"]) == ("test", f"file:{distribution.folder}")
    assert Package.parse(package).document() == package


def test_the_sources_stand_in_the_request_and_the_dates_beside_the_packages(
    tmp_path: Path, distribution: Repository
) -> None:
    more = Repository(tmp_path / "more", suite="test-security")
    more.add("libtool", version="2.0", Depends="libc")
    more.fields = {"Suite": "test-security"}
    write_sources(Path(), distribution, more)
    asked = wanted(["tool"])
    own = [f"file:{distribution.folder}", f"file:{more.folder}"]
    assert json.loads(asked.request)["sources"] == [f"{own[0]} test main", f"{own[1]} test-security main"]
    [(_, found)] = request.resolve_all([asked])
    assert {each["name"]: each["suite"] for each in found.packages} == {
        "tool": "test", "libc": "test", "libtool": "test-security"
    }  # fmt: skip
    assert found.dates == {f"{own[0]} test": "2026-01-01T00:00:00Z", f"{own[1]} test-security": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("is_inline", [True, False])
def test_a_chain_of_digests_leads_from_the_signature_to_the_package(distribution: Repository, is_inline: bool) -> None:
    distribution.is_inline = is_inline
    write_sources(Path(), distribution)
    [(_, found)] = request.resolve_all([wanted(["tool"], False)])
    dists = distribution.folder / "dists/test"
    evidence = (dists / ("InRelease" if is_inline else "Release.gpg")).read_bytes()
    release, packages = (dists / "Release").read_bytes(), (dists / "main/binary-amd64/Packages").read_bytes()
    fingerprint = key("archive").extract_certificate().fingerprint
    assert found.archives == {
        f"file:{distribution.folder} test": {
            "signers": [{"fingerprint": fingerprint, "user": "archive <archive@example.org>"}],
            "release": Digest.of(release),
            "evidence": Digest.of(evidence),
            "indexes": {"main/binary-amd64/Packages": (listed := Digest.of(packages))},
        }
    }
    assert listed.hex.encode() in release and found.packages[0]["sha256"].encode() in packages
    again = request.resolve_all([wanted(["tool"], False)])  # from what is kept of the suite
    assert again[0][1].archives == found.archives


@pytest.mark.parametrize("form", SUFFIXES)
def test_the_digest_is_that_of_the_listed_form_of_an_index(distribution: Repository, form: str) -> None:
    distribution.forms = (form,)
    write_sources(Path(), distribution)
    for _ in range(2):  # from the mirror, and from what is kept
        [(_, found)] = request.resolve_all([wanted(["tool"], False)])
        [archive] = found.archives.values()
        data = (distribution.folder / f"dists/test/main/binary-amd64/Packages{form}").read_bytes()
        assert archive["indexes"] == {f"main/binary-amd64/Packages{form}": Digest.of(data)}


def test_another_architecture_is_as_good_as_ours(distribution: Repository) -> None:
    write_sources(Path(), distribution)
    both = resolved(wanted(["tool"], arch="arm64"), wanted(["tool"], arch="amd64"))
    assert [[(p["name"], p["version"], p["architecture"]) for p in found] for found in both] == [
        [("tool", "1.1", "arm64")],
        [("libc", "1.0", "amd64"), ("libtool", "1.0", "amd64"), ("tool", "2:1.5+b1~x", "amd64")],
    ]
    assert names("data", arch="arm64") == ["data", "libc"]


def test_releases_do_not_mix(tmp_path: Path, distribution: Repository) -> None:
    other = Repository(tmp_path / "other")
    other.add("tool", version="9")
    listed = {}
    for release, repository in (("test", distribution), ("other", other)):
        write_sources(Path(), repository, release=release)
        listed |= json.loads(Path("sources.yml").read_text())
    Path("sources.yml").write_text(json.dumps(listed))
    found = resolved(wanted(["tool"], False), wanted(["tool"], False, release="other"))
    assert [package["version"] for [package] in found] == ["2:1.5+b1~x", "9"]


def test_recipes_do_not_share_decisions(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "r")
    repository.add("cat", Provides="animal")
    repository.add("dog", Provides="animal", Conflicts="cat")
    repository.add("zoo", Depends="cat | animal")
    write_sources(Path(), repository)
    alone, other = resolved(wanted(["zoo"], name="a"), wanted(["zoo", "dog"], name="b"))
    assert [p["name"] for p in alone] == ["cat", "zoo"] and [p["name"] for p in other] == ["dog", "zoo"]


def test_every_recipe_that_fails_is_named_with_the_reason(distribution: Repository) -> None:
    write_sources(Path(), distribution)
    asked = [wanted(["nothing", "tool"], name="a"), wanted(["tool"], name="b"), wanted(["broken"], name="c")]
    with pytest.raises(PackageError) as error:
        resolved(*asked)
    first, second = str(error.value).splitlines()
    assert first.startswith("images/a/build.yml: amd64: no package nothing for amd64 in main of test")
    assert second.startswith("images/c/build.yml: amd64: broken needs libc (>= 7)")


def test_new_versions_are_seen_at_once_unless_offline(
    distribution: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution.publish()
    with servers.server() as served:

        def answer(asked: Any) -> bool:
            return bool(asked.answer(200, (distribution.folder / asked.path.strip("/")).read_bytes()))

        served.rules.append(answer)
        write_sources(Path(), distribution.source(f"http://{served.host}"))
        names("tool")
        distribution.add("tool", version="3:0")
        distribution.publish()
        monkeypatch.setenv(VARIABLE, "1")
        [[old]] = resolved(wanted(["tool"], False))
        monkeypatch.delenv(VARIABLE)
        [[new]] = resolved(wanted(["tool"], False))
    assert (old["version"], new["version"]) == ("2:1.5+b1~x", "3:0")


def test_one_version_of_two_contents_is_refused(tmp_path: Path, distribution: Repository) -> None:
    other = Repository(tmp_path / "other", suite="more")
    other.add("libtool", {"usr/lib/libtool.so": "another"}, Depends="libc (>= 1.0)")
    other.add("libc", {"lib/libc.so.6": "the library"}, Essential="yes")  # the same
    write_sources(Path(), distribution, other)
    with pytest.raises(PackageError) as error:
        names("tool")
    [line] = str(error.value).splitlines()
    assert line.startswith(
        f"images/x/build.yml: amd64: libtool 1.0 is one file in file:{distribution.folder} test and another in"
        f" file:{other.folder} more ("
    )
    assert names("libc") == ["libc"]


def test_a_recipe_of_a_release_without_mirrors_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PackageError, match=r"^no mirror of debian and debian-security is known: set \S+ [^\n]*$"):
        resolved(wanted(["tool"], release="bookworm"))
