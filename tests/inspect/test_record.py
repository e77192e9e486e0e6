"""A published build, checked on another machine: `doit push:node` here, `doit verify:node --against REGISTRY` there."""

from __future__ import annotations

import json
import shutil

import pytest

from pipeline.inspect import record as records
from pipeline.model.errors import BadInput
from pipeline.oci import artifact, push
from pipeline.oci.error import ImageError
from pipeline.store import Store
from tests.inspect.conftest import ARCH, run_copy
from tests.judges import need, run
from tests.oci import craft, servers


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with servers.docker_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def elsewhere(tmp_path, project):
    """Another machine: the same sources, nothing built, nothing cached. Returns a function that runs doit there."""
    root = tmp_path / "elsewhere"

    def doit(*words, code=0):
        if not root.exists():
            shutil.copytree(project, root, ignore=shutil.ignore_patterns("cache", "build"))
        return run_copy(root, *words, code=code)

    return doit


def spec(project, before, after):
    path = project / "specs/node.yml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def test_a_published_build_is_met_on_another_machine(doit, elsewhere, host):
    doit("push:node", "--to", f"{host}/node:v1")
    done = elsewhere("verify:node", "--against", f"{host}/node:v1")
    assert "3 of 3 agree (3 runs × 1 formats)" in done.stdout
    assert "is not what" not in done.stderr


def test_what_was_published_is_all_that_is_asked_for(doit, elsewhere, host, project):
    doit("push:node", "--to", f"{host}/node:v1", "--formats", "tar,kernel+initrd")
    assert "6 of 6 agree (3 runs × 2 formats)" in elsewhere("verify:node", "--against", f"{host}/node:v1").stdout


def test_the_published_lock_counts(doit, elsewhere, host, project):
    """A lock that has moved since does not matter; a record that comes alone has none, and what moved is said."""
    doit("build:node")
    doit("push:node", "--to", f"{host}/node:v1")
    lock = project / "specs/node.lock"
    lock.write_text(lock.read_text().replace("{}", "{ }"))
    assert "is not what" not in elsewhere("verify:node", "--against", f"{host}/node:v1").stderr
    shutil.copytree(project / "build", project.parent / "elsewhere/published")
    said = elsewhere("verify:node", "--against", "published/node").stderr
    assert "specs/node.lock is not what published/node was made from" in said


def test_what_differs_from_a_published_build_is_explained(doit, elsewhere, host, project):
    doit("push:node", "--to", f"{host}/node:v1")
    spec(project, "welcome", "hello")
    done = elsewhere("verify:node", "--against", f"{host}/node:v1", code=1)
    assert f"specs/node.yml is not what {host}/node:v1 was made from" in done.stderr
    assert "the first stage that differs: files" in done.stdout
    assert "node-initrd.img → archives → archive 1 (etc) → cpio → etc/deep/motd → line 1: welcome | hello" in (
        done.stdout
    )


def test_several_architectures_at_once(doit, elsewhere, host, project):
    spec(project, "formats: [kernel+initrd]", "formats: [kernel+initrd]\n  arch: [amd64, arm64]")
    doit("push:node", "--to", f"{host}/node:v1")
    done = elsewhere("verify:node", "--against", f"{host}/node:v1")
    assert "amd64/kernel+initrd" in done.stdout and "arm64/kernel+initrd" in done.stdout
    assert "6 of 6 agree" in done.stdout


def test_a_layout_does_as_well_as_a_registry(doit, elsewhere, host, project):
    """skopeo carries all of it along."""
    doit("push:node", "--to", f"{host}/node:v1")
    target = f"oci:{project.parent}/layout:v1"
    run(need("skopeo"), "copy", "--all", "--src-tls-verify=false", f"docker://{host}/node:v1", target)
    assert "3 of 3 agree" in elsewhere("verify:node", "--against", target).stdout


def test_what_is_no_published_build(doit, host, project, tmp_path):
    craft.image(tmp_path / "layout", [craft.archive(craft.entry("x"))], config={"architecture": ARCH})
    assert "an image, not a node that" in doit("verify:node", "--against", f"oci:{tmp_path}/layout", code=3).stderr
    assert "no such file" in doit("verify:node", "--against", "build/nothing", code=3).stderr
    doit("verify:node", "--against", f"{host}/nothing:v1", code=1)


def test_published_builds_are_compared_with_each_other_and_with_folders(doit, elsewhere, host, project):
    doit("push:node", "--to", f"{host}/node:v1")
    spec(project, "welcome", "hello")
    doit("push:node", "--to", f"{host}/node:v2")
    doit("build:node")
    for second in (f"{host}/node:v2", str(project / "build/node")):
        said = elsewhere("compare", f"{host}/node:v1", second).stdout
        assert said.startswith(f"{host}/node:v1 | {second}\n")
        assert "etc/deep/motd → line 1: welcome | hello" in said
        assert "stages (" in said and "  files: sha256:" in said
    assert "are equal" in elsewhere("compare", f"{host}/node:v2", str(project / "build/node")).stdout


def test_images_in_a_registry_are_compared(elsewhere, host, tmp_path):
    for tag, content in (("v1", b"one"), ("v2", b"two!")):
        layer = craft.archive(craft.entry("etc/motd", data=content))
        craft.image(tmp_path / "layout", [layer], name=tag, config={"architecture": ARCH})
        source = f"oci:{tmp_path}/layout:{tag}"
        run(need("skopeo"), "copy", "--dest-tls-verify=false", source, f"docker://{host}/web:{tag}")
    assert "etc/motd (size): 3 | 4" in elsewhere("compare", f"{host}/web:v1", f"{host}/web:v2").stdout


def pushed(store, host, files):
    described = push.describe_files(store, {"amd64": {name: store.content(data) for name, data in files.items()}})
    push.send(store, described, f"{host}/x:1")
    return f"{host}/x:1"


RECORD = {"arch": "amd64", "formats": {"tar": {"files": {"n.tar": {"sha256": "0" * 64, "size": 1}}, "stages": {}}}}


@pytest.mark.parametrize(
    "change",
    [
        {"arch": 1},
        {"formats": []},
        {"formats": {"tar": {}}},
        {"formats": {"tar": {"files": {"n.tar": {"sha256": "../../x", "size": 1}}, "stages": {}}}},
        {"formats": {"tar": {"files": {}, "stages": {"a": {"key": "../x", "version": "1", "result": None}}}}},
        {"formats": {"tar": {"files": {}, "stages": {"a": {"key": "0" * 64, "version": "1", "result": "md5:1"}}}}},
    ],
)
def test_a_record_of_somebody_elses_is_checked(tmp_path, host, change):
    store = Store(tmp_path / "store")
    good = pushed(store, host, {"manifest.json": json.dumps(RECORD).encode()})
    assert records.read(store, good).manifests["amd64"] == RECORD
    bad = pushed(store, host, {"manifest.json": json.dumps(RECORD | change).encode()})
    with pytest.raises(BadInput, match="not a record of a build"):
        records.read(store, bad)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "a\nb", "x" * 300])
def test_names_of_files_are_no_paths(tmp_path, host, name):
    store = Store(tmp_path / "store")
    with pytest.raises(ImageError, match="has the name"):
        artifact.find(pushed(store, host, {name: b"x"}))


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 900, "images": {}, "packages": {}}'])
def test_a_lock_of_somebody_elses_is_checked(tmp_path, host, text):
    store = Store(tmp_path / "store")
    files = {"manifest.json": json.dumps(RECORD).encode(), "n.lock": text.encode()}
    with pytest.raises(BadInput, match=r"n\.lock is not a lock of a version that this nodekiln reads"):
        records.read(store, pushed(store, host, files))


def test_a_record_may_not_be_large(tmp_path, host, monkeypatch):
    """Nothing of it is fetched then."""
    store = Store(tmp_path / "store")
    reference = pushed(store, host, {"manifest.json": json.dumps(RECORD).encode()})
    monkeypatch.setattr(records, "LARGEST", 10)
    with pytest.raises(ImageError, match="10 is the limit"):
        records.read(Store(tmp_path / "other"), reference)
    assert not (tmp_path / "other").exists()


def test_a_node_without_a_record(tmp_path, host):
    store = Store(tmp_path / "store")
    with pytest.raises(ImageError, match=r"no manifest\.json for amd64 was pushed"):
        records.read(store, pushed(store, host, {"n.tar": b"x"}))
