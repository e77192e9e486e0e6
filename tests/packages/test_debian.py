"""Which packages a recipe comes to, decided by the host's real apt from repositories that the tests make."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.host.offline import VARIABLE
from pipeline.model.digest import canonical_json
from pipeline.packages import apt, debian
from pipeline.packages.apt import configuration, open_archive
from pipeline.packages.error import PackageError
from pipeline.packages.package import Package
from tests import judges
from tests.packages.repository import Repository

Host = Callable[..., None]


class Wanted(NamedTuple):
    name: str
    arch: str
    folder: str
    request: str


def wanted(packages: Sequence[str], dependencies: object = True, arch: str = "amd64", name: str = "x") -> Wanted:
    request = canonical_json({"packages": packages, "dependencies": dependencies}).decode()
    return Wanted(name, arch, f"images/{name}", request)


def names(cache: Path, *packages: str, dependencies: object = True, arch: str = "amd64") -> list[str]:
    [(_, found)] = debian.resolve_all([wanted(packages, dependencies, arch)], cache)
    return [package["name"] for package in found]


@pytest.fixture(autouse=True)
def needs_apt() -> None:
    judges.need("apt-get", "apt")


def test_a_package_comes_with_what_it_depends_on_and_nothing_else(
    tmp_path: Path, host: Host, distribution: Repository
) -> None:
    host(distribution)
    assert names(tmp_path, "tool") == ["libc", "libtool", "tool"]
    assert names(tmp_path, "either") == ["either", "libc"]
    assert names(tmp_path, "data") == ["data", "libc"]
    assert names(tmp_path) == []


def test_dependencies_can_be_left_out_or_picked(tmp_path: Path, host: Host, distribution: Repository) -> None:
    host(distribution)
    assert names(tmp_path, "tool", dependencies=False) == ["tool"]
    assert names(tmp_path, "broken", "tool", dependencies=False) == ["broken", "tool"]
    assert names(tmp_path, "tool", dependencies=["libt*"]) == ["libtool", "tool"]
    assert names(tmp_path, "tool", dependencies=["!libc"]) == ["libtool", "tool"]
    assert names(tmp_path, "tool", dependencies=["lib*", "!libc"]) == ["libtool", "tool"]


def test_a_package_is_described_exactly(tmp_path: Path, host: Host, distribution: Repository) -> None:
    host(distribution)
    [(_, [package])] = debian_all(wanted(["tool"], False), cache=tmp_path)
    data = (distribution.folder / package["filename"]).read_bytes()
    assert package["filename"] == "pool/main/t/tool/tool_1.5+b1~x_amd64.deb"
    assert (package["version"], package["architecture"], package["size"]) == ("2:1.5+b1~x", "amd64", len(data))
    assert package["sha256"] in distribution.records["amd64"][2]


def test_the_suite_is_recorded(tmp_path: Path, host: Host, distribution: Repository) -> None:
    """By its codename; of two that have the same package, the one that the other belongs to."""
    more = Repository(tmp_path / "more", suite="test-security")
    more.add("libc", {"lib/libc.so.6": "the library"}, Essential="yes")
    more.add("libtool", version="2.0", Depends="libc")
    host(distribution, more)
    [(_, found)] = debian_all(wanted(["tool"]), cache=tmp_path)
    assert {each["name"]: each["suite"] for each in found} == {
        "tool": "test", "libc": "test", "libtool": "test-security"
    }  # fmt: skip
    assert all(Package.parse(each).document() == each for each in found)


def debian_all(*asked: Wanted, cache: Path) -> list[tuple[Wanted, list[dict[str, object]]]]:
    return debian.resolve_all(asked, cache)


def test_another_architecture_is_as_good_as_ours(tmp_path: Path, host: Host, distribution: Repository) -> None:
    host(distribution)
    both = debian_all(wanted(["tool"], arch="arm64"), wanted(["tool"], arch="amd64"), cache=tmp_path)
    assert [[(p["name"], p["version"], p["architecture"]) for p in found] for _, found in both] == [
        [("tool", "1.1", "arm64")],
        [("libc", "1.0", "amd64"), ("libtool", "1.0", "amd64"), ("tool", "2:1.5+b1~x", "amd64")],
    ]
    assert names(tmp_path, "data", arch="arm64") == ["data", "libc"]


def test_recipes_do_not_share_decisions(tmp_path: Path, host: Host) -> None:
    repository = Repository(tmp_path / "r")
    repository.add("cat", Provides="animal")
    repository.add("dog", Provides="animal", Conflicts="cat")
    repository.add("zoo", Depends="cat | animal")
    host(repository)
    alone, other = debian_all(wanted(["zoo"], name="a"), wanted(["zoo", "dog"], name="b"), cache=tmp_path)
    assert [p["name"] for p in alone[1]] == ["cat", "zoo"]
    assert [p["name"] for p in other[1]] == ["dog", "zoo"]


def test_every_recipe_that_fails_is_named_with_what_apt_says(
    tmp_path: Path, host: Host, distribution: Repository
) -> None:
    host(distribution)
    asked = [wanted(["nothing", "tool"], name="a"), wanted(["tool"], name="b"), wanted(["broken"], name="c")]
    with pytest.raises(PackageError) as error:
        debian_all(*asked, cache=tmp_path)
    assert str(error.value).splitlines() == [
        "images/a/build.yml: amd64: Unable to locate package nothing"
        " (of Debian, the host's apt sources have main: is it in non-free-firmware, say?)",
        "images/c/build.yml: amd64: Unable to correct problems, you have held broken packages.",
        "images/c/build.yml: amd64: broken : Depends: libc (>= 7) but it is not going to be installed",
    ]


def test_other_vendors_repositories_do_not_count(tmp_path: Path, host: Host, distribution: Repository) -> None:
    vendor = Repository(tmp_path / "vendor", origin="Vendor")
    vendor.add("tool", version="9:9")
    host(vendor, distribution, "deb http://127.0.0.1:9/unreachable stable main")
    archive = open_archive(tmp_path / "state", "amd64")
    assert [each.version for each in debian_resolve(archive, "tool")] == ["2:1.5+b1~x"]
    assert "127.0.0.1:9" in " ".join(archive.complaints)


def debian_resolve(archive: apt.Archive, *packages: str) -> list[Package]:
    return debian.resolve(archive, packages, False)


def test_a_repository_that_nobody_signed_does_not_count(tmp_path: Path, host: Host, distribution: Repository) -> None:
    host(distribution.publish().replace(" [trusted=yes]", ""))
    with pytest.raises(PackageError, match=r"no Debian repository for amd64 can be read(.|\n)*is not signed"):
        names(tmp_path, "tool")


def test_the_hosts_hooks_do_not_run(tmp_path: Path, host: Host, distribution: Repository) -> None:
    host(distribution)
    names(tmp_path, "tool")
    assert not Path("/tmp/nodekiln-hook-ran").exists()


def test_new_versions_are_seen_at_once_unless_offline(
    tmp_path: Path, host: Host, distribution: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    host(distribution)
    names(tmp_path, "tool")
    distribution.add("tool", version="3:0")
    distribution.publish()
    monkeypatch.setenv(VARIABLE, "1")
    [(_, [old])] = debian_all(wanted(["tool"], False), cache=tmp_path)
    monkeypatch.delenv(VARIABLE)
    [(_, [new])] = debian_all(wanted(["tool"], False), cache=tmp_path)
    assert (old["version"], new["version"]) == ("2:1.5+b1~x", "3:0")


def test_without_apt_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match=r"apt-config is not installed: apt of the host resolves packages"):
        names(tmp_path, "tool")
    assert apt.repositories() == ()


def test_of_the_hosts_configuration_only_how_to_reach_repositories_is_kept() -> None:
    host = "\n".join(
        [
            'Acquire::http::Proxy "http://proxy:3128";',
            'Acquire::IndexTargets::deb::DEP-11::MetaKey "x";',
            'APT::Update::Post-Invoke:: "reboot";',
            'APT::Architectures:: "mips";',
            'APT::Default-Release "stable";',
            'DPkg::Pre-Install-Pkgs:: "reboot";',
            'Dir::State "var/lib/apt";',
            'Dir::Etc::trustedparts "trusted.gpg.d";',
            'Dir::Etc::parts "apt.conf.d";',
        ]
    )
    text = configuration(host, Path("/c/apt/arm64"), "arm64")
    assert text.splitlines()[:3] == [
        'Acquire::http::Proxy "http://proxy:3128";',
        'APT::Default-Release "stable";',
        'Dir::Etc::trustedparts "trusted.gpg.d";',
    ]
    assert "reboot" not in text and "mips" not in text
    assert 'Dir::State::status "/c/apt/arm64/status";' in text


def test_what_apt_believes_and_runs_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A co-user of the cache can change neither apt's configuration nor its lists: they are not there."""

    def folder(place: Path) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        apt.state_folder.cache_clear()
        return apt.state_folder()

    try:
        mine = folder(tmp_path / "mine")
        assert mine == tmp_path / "mine/nodekiln/apt" and stat.S_IMODE(mine.parent.stat().st_mode) == 0o700
        for name, spoil in {
            "writable": lambda place: place.mkdir() or place.chmod(0o777),
            "symlink": lambda place: place.symlink_to(mine),
            "file": lambda place: place.write_text(""),
        }.items():
            (tmp_path / name).mkdir()
            spoil(tmp_path / name / "nodekiln")
            other = folder(tmp_path / name)
            assert tmp_path not in other.parents
            assert stat.S_IMODE(other.stat().st_mode) == 0o700 and other.stat().st_uid == os.geteuid()
    finally:
        apt.state_folder.cache_clear()
