"""doit lock and doit build of recipes: versions go back only when that is asked for, and a mix of releases is told."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning import lock
from pipeline.planning.lock import Lock, LockError
from tests.oci import servers
from tests.packages.repository import Repository, write_sources
from tests.project import declare, doit


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project of one spec with the recipes `one` and `two`."""
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    declare(root)
    for name in ("one", "two"):
        folder = root / "images" / name
        folder.mkdir(parents=True)
        (folder / "build.yml").write_text(f"image: {name}\npackages: [{name}]\nkeep: ['**']\n")
    (root / "specs/node.yml").write_text(
        'init: ["@pkg:images/one", "@pkg:images/two"]\nbuild: {arch: amd64, formats: [tar]}\n'
    )
    monkeypatch.chdir(root)
    return root


def use(*repositories: Repository) -> None:
    """Have the project name these as its sources, in the state of now."""
    shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)  # a test may go back
    write_sources(Path(), *repositories)


def repository(folder: Path, suite: str = "test", **versions: str) -> Repository:
    """A repository with packages of these versions, and none besides."""
    shutil.rmtree(folder, ignore_errors=True)
    found = Repository(folder, suite=suite)
    for name, version in versions.items():
        found.add(name, {f"usr/share/{name}": version}, version=version)
    return found


def versions() -> dict[str, str]:
    packages = json.loads(Path("specs/node.lock").read_text())["packages"]
    return {each["name"]: each["version"] for entry in packages.values() for each in entry["amd64"]["packages"]}


def test_an_update_goes_back_only_if_that_is_asked_for(tmp_path: Path) -> None:
    use(repository(tmp_path / "debian", one="10", two="1"))
    doit("lock")
    use(repository(tmp_path / "debian", one="9", two="2"))
    before = Path("specs/node.lock").read_bytes()
    told = doit("lock:node", "--update", "all", code=1)
    assert "specs/node.lock: one (amd64): one 10 -> 9" in told and "two (amd64)" not in told
    assert "`doit lock:node --update all --downgrade` takes them" in told
    assert Path("specs/node.lock").read_bytes() == before
    doit("lock", "--update", "two")
    assert versions() == {"one": "10", "two": "2"}
    doit("lock", "--update", "all", "--downgrade")
    assert versions() == {"one": "9", "two": "2"}


def test_several_names_are_updated_at_once(tmp_path: Path) -> None:
    use(repository(tmp_path / "debian", one="1", two="1"))
    doit("lock")
    use(repository(tmp_path / "debian", one="2", two="2"))
    assert "2 resolved now" in doit("lock", "--update", "one,two")
    assert "names no 'three' (it names one, two)" in doit("lock", "--update", "one,three", code=3)


def test_a_build_does_not_go_back_either(tmp_path: Path) -> None:
    """A recipe that asks for more is resolved anew by a build."""
    use(repository(tmp_path / "debian", one="10", two="1"))
    doit("build")
    use(repository(tmp_path / "debian", one="9", two="1"))
    with open("images/one/build.yml", "a") as file:
        file.write("dependencies: false\n")
    told = doit("build", code=1)
    assert "one (amd64): one 10 -> 9" in told and "`doit lock:node --downgrade` takes them" in told
    assert versions()["one"] == "10"


def test_packages_of_two_releases_are_a_warning(tmp_path: Path) -> None:
    """A lock from before the project named its sources keeps its versions, whatever is resolved beside them."""
    use(repository(tmp_path / "security", "old-security", one="2"), repository(tmp_path / "debian", "old", two="1"))
    assert "warning" not in doit("lock")
    document = json.loads(Path("specs/node.lock").read_text())
    for entry in document["packages"].values():
        request = json.loads(entry["amd64"]["request"])
        del request["sources"]
        entry["amd64"]["request"] = json.dumps(request)
        del entry["amd64"]["dates"]
    Path("specs/node.lock").write_text(json.dumps(document))
    use(repository(tmp_path / "debian", "new", one="3"))
    told = doit("lock", "--update", "one")
    assert "warning: specs/node.lock: packages of several releases" in told and "new: one; old: two" in told


def test_all_that_is_gone_is_one_message_with_one_command(tmp_path: Path) -> None:
    use(repository(tmp_path / "debian", one="1", two="1"))
    doit("lock")
    use(repository(tmp_path / "debian", one="2", two="2"))
    told = doit("build", code=1)
    assert told.count("needs the package one 1,") == told.count("needs the package two 1,") == 1
    assert told.count("`doit lock --update one,two` locks the versions that there are today") == 1
    doit("lock", "--update", "one,two")
    doit("build")


def test_a_lock_builds_although_the_mirror_has_only_newer_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror is a server, and so is the archive of old versions. On this machine no apt is asked."""
    monkeypatch.setenv("PATH", "/nonexistent")
    old, new = repository(tmp_path / "1/debian", one="1", two="1"), repository(tmp_path / "2/debian", one="2", two="2")
    now = [old]
    source = {"archive": "debian", "suites": ["test"], "signed-by": "archive.asc"}
    with servers.server() as mirror, servers.server() as archive:
        mirror.rules.append(lambda asked: send(asked, now[0].folder.parent, asked.path))
        archive.rules.append(lambda asked: send(asked, old.folder, asked.path.partition("Z/")[2]))
        monkeypatch.setenv("NODEKILN_PACKAGES", f"http://{mirror.host}")
        monkeypatch.setenv("NODEKILN_SNAPSHOT", f"http://{archive.host}")
        old.publish()
        write_sources(Path(), source)
        doit("lock")
        locked = Path("specs/node.lock").read_bytes()
        now[0] = new
        new.date += datetime.timedelta(days=1)
        new.publish()
        doit("build")
        assert Path("specs/node.lock").read_bytes() == locked and versions() == {"one": "1", "two": "1"}
        dated = "/archive/debian/20260101T120000Z/pool/main/o/one/one_1_amd64.deb"
        assert dated in archive.paths and "/mr/binary/one/1/binfiles" in archive.paths
        told = doit("lock", "--check", code=1)
        assert "one (amd64): one 1 -> 2" in told


def send(asked: servers.Request, folder: Path, path: str) -> bool:
    """Answers with a file of `folder`, if it is there."""
    file = folder / path.strip("/")
    return path != "" and file.is_file() and asked.answer(200, file.read_bytes())


def test_another_source_resolves_anew_and_a_spec_chooses_its_release(tmp_path: Path) -> None:
    use(repository(tmp_path / "debian", one="1", two="1"))
    doit("build")
    other = repository(tmp_path / "other", one="2", two="2")
    other.publish()
    listed = json.loads(Path("sources.yml").read_text())
    Path("sources.yml").write_text(json.dumps({**listed, "other": [other.source()]}))
    doit("build", NODEKILN_LOCKED="1")  # another release is no change
    spec = Path("specs/node.yml").read_text()
    Path("specs/node.yml").write_text(spec.replace("build: {", "build: {release: other, "))
    assert "not locked: one (amd64), two (amd64)" in doit("build", code=1, NODEKILN_LOCKED="1")
    doit("build")
    assert versions() == {"one": "2", "two": "2"}
    [entry] = json.loads(Path("specs/node.lock").read_text())["packages"]["one"].values()
    assert entry["dates"] == {f"file:{other.folder} test": "2026-01-01T00:00:00Z"}
    assert json.loads(entry["request"])["sources"] == [f"file:{other.folder} test main"]


def test_a_lock_from_before_suites_were_recorded_serves(tmp_path: Path) -> None:
    use(repository(tmp_path / "debian", one="1", two="1"))
    doit("lock")
    document = json.loads(Path("specs/node.lock").read_text())
    for entry in document["packages"].values():
        for package in entry["amd64"]["packages"]:
            assert package.pop("suite") == "test"
    Path("specs/node.lock").write_text(json.dumps(document))
    doit("build")
    assert lock.release_warning(lock.read(Path("specs/node.lock"))) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "not a lock"), ("[]", "not a lock"), ('{"version": true}', "not a lock"),
     ('{"version": 1}', "not as `doit lock` writes it"),
     ('{"version": 0}', "version 0, from an older nodekiln: delete it and run `doit lock`"),
     ('{"version": 2}', "version 2, and this nodekiln reads 1: update nodekiln")],
)  # fmt: skip
def test_what_is_not_a_lock_of_ours(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.lock").write_text(text)
    with pytest.raises(LockError) as error:
        lock.read(tmp_path / "x.lock")
    assert told in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "amd64", "packages", "platforms", "request", "name", "version"]), inner)
    ),
    max_leaves=12,
)


@given(images=JSON, packages=JSON)
def test_any_json_is_a_lock_or_an_error(tmp_path_factory: Any, images: Any, packages: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.lock"
    path.write_text(json.dumps({"version": 1, "images": images, "packages": packages}))
    try:
        found = lock.read(path)
    except LockError as error:
        assert str(error).startswith(f"{path}: not a")
    else:
        assert (
            lock.downgrades(found, Lock()) == lock.downgrades(found, found) == [] and lock.release_warning(found) == ""
        )
