"""doit bundle, and doit build --from: the same bytes where there is no network, from what a bundle holds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.host import tracked
from pipeline.host.shipped import SHIPPED
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.oci import push
from pipeline.oci.attach import attach
from pipeline.oci.error import ImageError
from pipeline.project import bundle_reader, bundle_writer, inputs
from pipeline.project.inputs import Inputs
from pipeline.store import Store
from pipeline.tasks.request import Request
from tests.judges import need, run
from tests.oci import craft, servers
from tests.packages.repository import Repository, certificate
from tests.project import ROOT, declare, doit, new_project, run_doit

SPEC = """\
init: ["IMAGE", "@pkg:images/tool"]
files:
  - {path: etc/motd, source: ../motd}
  - {path: etc/empty, source: empty}
build: {arch: [amd64, arm64], formats: [tar], append: [more.yml]}
"""
RECIPE = """\
image: tool
packages: [tool, data]
files: [{path: etc/tool.conf, source: tool.conf}]
"""
ARCHES = ("amd64", "arm64")
NODEKILN = ("-c", "import sys; from pipeline.tasks.console import main; sys.exit(main())")
DOIT = ("-m", "doit")
"""Words for Python that run either command."""
SOURCES = "mine: [{archive: debian, suites: [test], signed-by: keys/archive.asc}]\n"


class Bundled(NamedTuple):
    """A project that was built, its bundle, and what the build gave: file below build/node -> SHA-256."""

    root: Path
    tar: Path
    image: str
    sums: dict[str, str]


def sums(root: Path) -> dict[str, str]:
    place = root / "build/node"
    files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}


def images(layout: Path, registry: str) -> str:
    """Pushes an image of two platforms, as another tool does; returns its reference."""
    entries = []
    for arch in ARCHES:
        layers = [craft.archive(craft.entry("bin", "d"), craft.entry("bin/base", data=arch.encode()))]
        digest = craft.image(layout, layers, name=arch, config={"architecture": arch})
        size = (layout / "blobs/sha256" / digest[7:]).stat().st_size
        platform = {"os": "linux", "architecture": arch}
        media_type = "application/vnd.oci.image.manifest.v1+json"
        entries.append({"mediaType": media_type, "digest": digest, "size": size, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    craft.tagged(layout, json.dumps(index).encode(), "all", str(index["mediaType"]))
    reference = f"{registry}/team/base:1"
    run(need("skopeo"), "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:all", f"docker://{reference}")
    return reference


def make_project(root: Path, image: str, mirror: Path) -> Path:
    """Makes a project whose packages come from an archive that `mirror` has, under a key of its own."""
    repository = Repository(mirror / "debian")
    repository.add("data", {"usr/share/data": "d" * 5000}, arch="all")
    for arch in ARCHES:
        repository.add("tool", {"usr/bin/tool": f"tool for {arch}"}, arch=arch)
    repository.publish()
    new_project(root, node=SPEC.replace("IMAGE", image))
    for name, text in {
        "motd": "hello\n", "specs/empty": "", "specs/more.yml": "files: [{path: etc/more, contents: more}]\n",
        "images/tool/build.yml": RECIPE, "images/tool/tool.conf": "a = 1\n",
        "sources.yml": SOURCES, "keys/archive.asc": certificate(),
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mirror")


@pytest.fixture(scope="module")
def bundled(registry: str, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundled:
    place = tmp_path_factory.mktemp("bundled")
    image = images(place / "layout", registry)
    root = make_project(place / "project", image, mirror)
    online(root, mirror, "lock:node")
    online(root, mirror, "bundle:node")
    online(root, mirror, "build:node")
    return Bundled(root, root / "build/node.bundle.tar", image, sums(root))


def online(root: Path, mirror: Path, *words: str, code: int = 0, **environment: str) -> str:
    return doit(*words, cwd=root, code=code, NODEKILN_PACKAGES=f"file:{mirror}", NODEKILN_SNAPSHOT="off", **environment)


def offline(
    root: Path, *words: str, code: int | None = 0, command: Sequence[str] = NODEKILN, **environment: str
) -> list[str]:
    """Runs nodekiln where there is no network, not even loopback; returns the lines that it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NODEKILN_")}
    variables = {**inherited, "PYTHONPATH": str(ROOT), **environment}
    alone = [need("unshare", "util-linux"), "-rn", sys.executable]
    ended = subprocess.run([*alone, *command, *words], cwd=root, env=variables, capture_output=True, text=True)
    assert code is None or ended.returncode == code, ended.stdout + ended.stderr
    assert ended.returncode != 0 or code == 0, ended.stdout + ended.stderr
    return (ended.stdout + ended.stderr).splitlines()


def clone(bundled: Bundled, place: Path) -> Path:
    """A copy of the project without its cache and results."""
    shutil.copytree(bundled.root, place, ignore=shutil.ignore_patterns("cache", "build"))
    return place


def empty(place: Path) -> Path:
    place.mkdir()
    return place


def wrong_blobs(cache: Path) -> list[str]:
    """The names in the store `cache` under which something else is stored."""
    blobs = [path for path in (cache / "blobs/sha256").glob("*") if path.is_file()]
    return [path.name for path in blobs if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]


# the same bytes


def test_a_clone_with_an_empty_cache_gives_the_same_bytes(bundled: Bundled, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "clone")
    assert any(
        "not in the store" in line or "OFFLINE" in line for line in offline(root, "build:node", "offline=1", code=1)
    )
    lines = offline(root, "build:node", "--from", str(bundled.tar))
    assert sums(root) == bundled.sums and not [line for line in lines if "warning" in line]
    (line,) = offline(root, "build:node", f"--from={bundled.tar}")
    assert line.startswith("0 ran, 0 restored")


def test_nothing_but_the_bundle_gives_the_same_bytes(bundled: Bundled, tmp_path: Path) -> None:
    root = empty(tmp_path / "empty")
    offline(root, "build:node", "--from", str(bundled.tar))
    assert sums(root) == bundled.sums
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith(("cache/", "build/"))} == {
        "pyproject.toml", "sources.yml", "keys/archive.asc", "motd", "specs/empty", "specs/more.yml", "specs/node.yml",
        "specs/node.lock",
        "images/tool/build.yml", "images/tool/tool.conf",
    }  # fmt: skip


def test_a_folder_is_a_bundle_too_for_every_command(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    online(
        bundled.root, mirror, "bundle:node", "--output", f"{tmp_path}/folder", "--arch", "arm64", "--formats", "docker"
    )
    root = clone(bundled, tmp_path / "clone")
    offline(root, "build:node:arm64/tar", "build:node:arm64/docker", "--from", f"{tmp_path}/folder")
    assert {name: each for name, each in bundled.sums.items() if name == "arm64/node.tar"}.items() <= sums(root).items()
    assert (root / "build/node/arm64/node-oci.tar").exists()
    assert "specs/node.yml: right" in "\n".join(offline(root, "check:node", f"from={bundled.tar}"))


def test_settings_that_decide_bytes_are_in_the_bundle(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "dated")
    online(
        root, mirror, "build:node", "bundle:node", "--output", f"{tmp_path}/dated.tar", SOURCE_DATE_EPOCH="700000000"
    )
    assert sums(root) != bundled.sums
    there = empty(tmp_path / "there")
    offline(there, "build:node", "--from", f"{tmp_path}/dated.tar")
    assert sums(there) == sums(root)
    (line,) = offline(there, "build:node", "--from", f"{tmp_path}/dated.tar", code=3, SOURCE_DATE_EPOCH="5")
    assert line == f"SOURCE_DATE_EPOCH is 5, and 700000000 in {tmp_path}/dated.tar: unset it"


@pytest.mark.slow
def test_a_project_with_a_dodo_py(bundled: Bundled, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "clone")
    (root / "pyproject.toml").unlink()
    shutil.copy(ROOT / "dodo.py", root)
    (line,) = offline(root, "build:node", "--from", str(bundled.tar), code=3, command=DOIT)
    assert line == f"a dodo.py cannot see the option --from: `doit build:node from={bundled.tar}`"
    offline(root, "build:node", f"from={bundled.tar}")
    assert sums(root) == bundled.sums


def test_a_project_that_did_not_come_out_whole_is_completed(bundled: Bundled, tmp_path: Path) -> None:
    root = empty(tmp_path / "there")
    for name in ("specs/more.yml", "images/tool/build.yml"):
        (root / name).parent.mkdir(parents=True)
        shutil.copy(bundled.root / name, root / name)
    (root / "motd").write_text("another\n")
    line = offline(root, "build:node", "--from", str(bundled.tar), code=3)[-1]
    assert line == f"{root}/motd is there already, with other content: use an empty folder for {bundled.tar}"
    assert not (root / "specs/node.yml").exists()
    (root / "motd").unlink()
    offline(root, "build:node", "--from", str(bundled.tar))
    assert sums(root) == bundled.sums


def test_nothing_is_written_into_another_project(bundled: Bundled, tmp_path: Path) -> None:
    root = new_project(tmp_path / "mine", mine="files: [{path: etc/a, contents: a}]\nbuild: {formats: [tar]}\n")
    offline(root, "check", f"from={bundled.tar}")
    assert [path.name for path in (root / "specs").iterdir()] == ["mine.yml"] and not (root / "motd").exists()


# the form


def test_two_machines_write_the_same_bundle(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "other")
    places = {"NODEKILN_PACKAGES": f"file:{mirror}"}
    other = {"TZ": "VER-14", "LC_ALL": "C", "PYTHONHASHSEED": "7", "NODEKILN_INCREMENTAL": "off"}
    for name in ("one.tar", "two"):
        ended = run_doit("bundle:node", "--output", name, cwd=root, umask=0o077, **places, **other)
        assert ended.returncode == 0, ended.stderr
    assert (root / "one.tar").read_bytes() == bundled.tar.read_bytes()
    run(need("tar"), "-xf", bundled.tar, "-C", empty(tmp_path / "unpacked"))
    run(need("diff"), "-r", tmp_path / "unpacked", root / "two")


def test_other_tools_see_the_images_as_they_are_in_the_registry(
    bundled: Bundled, registry: str, tmp_path: Path
) -> None:
    skopeo, layout = need("skopeo"), empty(tmp_path / "layout")
    run(need("tar"), "-xf", bundled.tar, "-C", layout)
    raw = run(skopeo, "inspect", "--raw", f"oci:{layout}:bundle").stdout
    assert json.loads(raw)["artifactType"] == bundle_reader.BUNDLE
    for arch in ARCHES:
        told = [
            run(skopeo, "inspect", "--tls-verify=false", "--override-arch", arch, place).stdout
            for place in (f"oci-archive:{bundled.tar}:{bundled.image}", f"docker://{bundled.image}")
        ]
        assert json.loads(told[0])["Layers"] == json.loads(told[1])["Layers"]
        assert json.loads(told[0])["Architecture"] == arch
    blobs = (layout / "blobs/sha256").iterdir()
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in blobs)
    listed = json.loads((layout / "index.json").read_text())["manifests"]
    packages = json.loads(raw)["manifests"][1]
    manifest = json.loads((layout / "blobs/sha256" / packages["digest"][7:]).read_text())
    assert [layer["annotations"][push.TITLE] for layer in manifest["layers"]] == [
        "data_1.0_all.deb", "tool_1.0_amd64.deb",
    ]  # fmt: skip
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in listed] == ["bundle", bundled.image]


def test_a_bundle_in_a_registry(bundled: Bundled, registry: str, tmp_path: Path, store: Store) -> None:
    reference = f"{registry}/nodes/node:bundle"
    said = doit("bundle:node", "--push", reference, cwd=bundled.root, NODEKILN_LOCKED="1").strip()
    digest = said.rpartition(" ")[2]
    raw = run(need("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{reference}").stdout
    assert Digest.of(raw.encode()) == digest, "what a signature would name"
    copied = f"docker://{registry}/nodes/copy:1"
    run(need("skopeo"), "copy", "--all", "--dest-tls-verify=false", f"oci-archive:{bundled.tar}:bundle", copied)
    other = json.loads(run(need("skopeo"), "inspect", "--raw", "--tls-verify=false", copied).stdout)
    assert [each["digest"] for each in other["manifests"]] == [each["digest"] for each in json.loads(raw)["manifests"]]
    assert attach(store, Digest.parse(digest), reference, "application/vnd.example.v1", b"a statement")
    root = empty(tmp_path / "there")
    declare(root)
    doit("build:node", "--from", f"{registry}/nodes/node@{digest}", cwd=root)
    assert sums(root) == bundled.sums
    assert bundle_reader.find(f"{registry}/nodes/copy:1").put_into(store) == 8


# what is wrong


def flip(path: Path, data: bytes) -> None:
    """Changes a byte of `data` in the file `path`, the last time that it is there."""
    content = bytearray(path.read_bytes())
    content[content.rindex(data) + len(data) // 2] ^= 1
    path.write_bytes(content)


def truncate(part: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * part))


def foreign(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(ROOT / "README.md", "README.md")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "the index was changed": (lambda path: flip(path, b'"schemaVersion"'), ""),
    "it ends in the middle of a header": (lambda path: os.truncate(path, 700), ""),
    "it ends early": (truncate(0.3), ""),
    "it ends late": (truncate(0.9), ""),
    "it is empty": (truncate(0), "is empty"),
    "it is text": (lambda path: path.write_text("a bundle\n" * 200), "no tar header"),
    "it is another tar": (foreign, "has no file index.json"),
    "it is compressed": (lambda path: path.write_bytes(b"\x1f\x8b" + path.read_bytes()), "is compressed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_bundle_is_one_line(bundled: Bundled, tmp_path: Path, store: Store, fault: str) -> None:
    tar = tmp_path / "it.tar"
    shutil.copy(bundled.tar, tar)
    change, said = FAULTS[fault]
    change(tar)
    with pytest.raises(ImageError) as error:
        bundle_reader.find(str(tar)).put_into(store)
    assert str(tar) in str(error.value) and said in str(error.value) and "\n" not in str(error.value)
    assert wrong_blobs(store.root) == []


def test_nothing_is_built_from_a_damaged_bundle(bundled: Bundled, tmp_path: Path) -> None:
    tar, root = tmp_path / "it.tar", empty(tmp_path / "there")
    shutil.copy(bundled.tar, tar)
    flip(tar, b"!<arch>\n")
    (line,) = offline(root, "build:node", "--from", str(tar), code=3)
    assert line.startswith(f"{tar}: ") and ": its digest is sha256:" in line
    assert wrong_blobs(root / "cache") == [] and not (root / "specs").exists() and not (root / "build/node").exists()


def blob_of(layout: Path, media_type: str) -> Path:
    """The path of a blob of a bundle's artifacts with this media type."""
    for path in sorted((layout / "blobs/sha256").iterdir()):
        data = path.read_bytes()
        for layer in json.loads(data).get("layers", []) if data.startswith(b"{") else ():
            if layer["mediaType"] == media_type:
                return path.with_name(layer["digest"][7:])
    raise AssertionError(media_type)


@pytest.mark.parametrize(
    "media_type", [bundle_reader.PACKAGE, bundle_reader.FILES, "application/vnd.oci.image.layer.v1.tar+gzip"]
)
@pytest.mark.parametrize("change", ["flip", "truncate", "extend", "replace", "remove", "link"])
def test_a_blob_that_is_not_what_its_name_states_is_not_used(
    bundled: Bundled, tmp_path: Path, store: Store, media_type: str, change: str
) -> None:
    layout = tmp_path / "layout"
    run(need("tar"), "-xf", bundled.tar, "-C", empty(layout))
    path = blob_of(layout, media_type)
    data = path.read_bytes()
    path.unlink()
    if change == "link":
        path.symlink_to("/etc/passwd")
    elif change != "remove":
        flipped = data[:-1] + bytes([data[-1] ^ 1])
        path.write_bytes({"flip": flipped, "truncate": data[:-1], "extend": data + b"x", "replace": b"other"}[change])
    with pytest.raises(ImageError) as error:
        bundle_reader.find(str(layout)).put_into(store)
    assert path.name in str(error.value) and "\n" not in str(error.value)
    assert wrong_blobs(store.root) == [] and not store.has(Digest(f"sha256:{path.name}"))


def test_a_bundle_of_another_node_or_none(bundled: Bundled, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "clone")
    shutil.copy(root / "specs/node.yml", root / "specs/other.yml")
    (line,) = offline(root, "build:other", "--from", str(bundled.tar), code=3)
    assert line == f"{bundled.tar} is a bundle of node, not of other"
    (line,) = offline(root, "build:node", "--from", code=3)
    assert line == "ERROR: build:node: option --from requires argument (its options: --from --debug)"
    (line,) = offline(root, "build:node", "--from", "build/nothing.tar", code=3)
    assert line.startswith("build/nothing.tar: no such file or folder, and not a reference")
    (line,) = offline(root, "build:node", "--from", f"oci:{bundled.root.parent}/layout:amd64", code=3)
    assert line.endswith("it is another artifact, or an image")


def test_a_project_that_is_not_the_bundle_s_is_told(bundled: Bundled, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "clone")
    (root / "motd").write_text("another\n")
    lines = offline(root, "build:node", "--from", str(bundled.tar))
    assert f"warning: motd here differs from {bundled.tar} (nodekiln" in "\n".join(lines)
    (root / "images/tool/tool.conf").write_text("a = 2\n")
    lines = offline(root, "build:node", "--from", str(bundled.tar))
    assert "warning: images/tool/tool.conf, motd here differs" in "\n".join(lines)
    lock = json.loads((root / "specs/node.lock").read_text())
    lock["packages"]["tool"]["amd64"]["packages"][0]["sha256"] = "0" * 64
    (root / "specs/node.lock").write_text(json.dumps(lock))
    lines = offline(root, "build:node", "--from", str(bundled.tar), code=1)
    assert "specs/node.lock" in lines[1] and "not in the store" in "\n".join(lines)


def test_files_that_a_bundle_cannot_hold(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    root, home = clone(bundled, tmp_path / "clone"), tmp_path / "home/.ssh"
    home.mkdir(parents=True)
    (home / "id.pub").write_text("ssh-ed25519 AAAA me\n")
    (root / "specs/more.yml").write_text("files: [{path: etc/key, source: ~/.ssh/id.pub}]\n")
    told = online(root, mirror, "bundle:node", code=3, HOME=str(tmp_path / "home"))
    assert ".ssh/id.pub lies outside the project: a bundle holds files of the project alone, so copy it there" in told
    (root / "specs/more.yml").write_text("files: [{path: etc/code, source: ../pyproject.toml}]\n")
    assert "'pyproject.toml' may be run as code" in online(root, mirror, "bundle:node", code=3)
    assert not (root / "build/node.bundle.tar").exists()


def test_files_that_planning_reads_or_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped, code = SHIPPED / "images/sysctl/build.yml", Path(inputs.__file__)
    for path in ("lock", "keys/archive.asc"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(path)
    with tracked.record_inputs() as reads:
        tracked.is_file("keys/archive.asc")
        tracked.is_file("nothing")
        for path in (tmp_path / "lock", shipped, code):
            tracked.contents(path)
    digest = hashlib.sha256(shipped.read_bytes()).hexdigest()
    assert inputs._files(tmp_path, reads) == {
        "images/sysctl/build.yml": (shipped, digest),
        "keys/archive.asc": (Path("keys/archive.asc"), ""),
        "lock": (tmp_path / "lock", hashlib.sha256(b"lock").hexdigest()),
    }


@pytest.mark.parametrize(
    "path", ["../x", "/x", "", "a/../../x", "pyproject.toml", "doit.cfg", "yaml.py", "pipeline/x", "cache/x", "a\nb"]
)
def test_a_path_that_would_be_code_or_lead_elsewhere(path: str) -> None:
    with pytest.raises(BadInput):
        inputs.check_path(path)


def hostile(store: Store, folder: Path, **changes: Any) -> None:
    """Writes a bundle as no project has it."""
    (folder / "file").write_text("file")
    files = {"specs/node.yml": (folder / "file", "")}
    found = Inputs("node", files, {}, {}, {})._replace(**changes)
    bundle_writer.write_folder(store, bundle_writer.make(store, found), folder / "bundle")


@pytest.mark.parametrize("path", ["pyproject.toml", "yaml.py", "pipeline/__init__.py", "../evil", "specs/../../evil"])
def test_a_bundle_brings_no_code_and_writes_nowhere_else(tmp_path: Path, store: Store, path: str) -> None:
    hostile(store, tmp_path, files=dict.fromkeys(("specs/node.yml", path), (tmp_path / "file", "")))
    there, bundle = tmp_path / "there", bundle_reader.find(str(tmp_path / "bundle"))
    there.mkdir()
    bundle.put_into(store)
    if "evil" in path:  # `..` stops at the root of the archive
        assert "evil" in bundle.write_project(store, there) and not (tmp_path / "evil").exists()
    else:
        with pytest.raises(BadInput, match="may be run as code"):
            bundle.write_project(store, there)
        assert not [*there.iterdir()]


@pytest.mark.parametrize(
    "changes",
    [{"environment": {"PATH": "/x"}}, {"environment": {"NODEKILN_OUTSIDE": "1"}}, {"name": "../x"}, {"name": "a\nb"}],
)
def test_settings_of_a_stranger_are_refused(tmp_path: Path, store: Store, changes: dict[str, Any]) -> None:
    hostile(store, tmp_path, **changes)
    with pytest.raises(BadInput):
        bundle_reader.find(str(tmp_path / "bundle"))


def test_a_symlink_in_the_folder_is_not_followed(bundled: Bundled, tmp_path: Path) -> None:
    root = empty(tmp_path / "there")
    (tmp_path / "elsewhere").mkdir()
    (root / "images").symlink_to(tmp_path / "elsewhere")
    (line,) = offline(root, "build:node", "--from", str(bundled.tar), code=3)
    assert "images is a symlink" in line and not [*(tmp_path / "elsewhere").iterdir()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arch", "s390x"], "is built for amd64, arm64, not for s390x"),
        (["--formats", "tra"], "there is no format 'tra'"),
        (["--formats", "raw-efi"], "needs a kernel to start"),
        (["--push", "oci:x"], "only a registry can be pushed to"),
        (["--push", "a.b/c:1", "--output", "x.tar"], "takes --output or --push, not both"),
    ],
)
def test_what_cannot_be_bundled(bundled: Bundled, mirror: Path, words: list[str], said: str) -> None:
    told = online(bundled.root, mirror, "bundle:node", *words, code=3)
    assert said in told and "Traceback" not in told


def test_a_node_that_is_not_locked_is_not_bundled(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    root = clone(bundled, tmp_path / "clone")
    (root / "specs/node.lock").unlink()
    assert "`doit lock:node` first" in online(root, mirror, "bundle:node", code=1)


def test_other_folders_are_not_written_over(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    told = online(bundled.root, mirror, "bundle:node", "--output", str(tmp_path / "mine"), code=3)
    assert "mine is neither empty nor a bundle" in told and (tmp_path / "mine/file").read_text() == "mine"


@pytest.mark.slow
def test_an_older_bundle_in_a_folder_is_replaced(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    for words in (["--arch", "amd64"], []):
        online(bundled.root, mirror, "bundle:node", "--output", str(tmp_path / "folder"), *words)
    online(bundled.root, mirror, "bundle:node", "--output", str(tmp_path / "new"))
    run(need("diff"), "-r", tmp_path / "folder", tmp_path / "new")


def test_the_words_behind_build() -> None:
    assert Request("run", ("build:node", "--from", "a.tar")).bundle == "a.tar"
    assert Request("run", ("build:node", "--from", "a.tar")).names == ["build:node"]
    assert Request("run", ("build:node:tar", "--from=a.tar", "run:node")).specs == ["node"]
    assert Request("run", ("compare", "--from", "x")).bundle == Request("run", ("build:node", "--from")).bundle == ""


# wheels


@pytest.mark.network
@pytest.mark.slow
def test_wheels_install_without_network_what_builds_the_bundle(bundled: Bundled, mirror: Path, tmp_path: Path) -> None:
    told = [
        online(bundled.root, mirror, "bundle:node", "--wheels", "--output", f"{tmp_path}/{name}.tar").split()[-1]
        for name in ("one", "two")
    ]
    assert told[0] == told[1]
    there = empty(tmp_path / "there")
    run(need("tar"), "-xf", tmp_path / "one.tar", "-C", tmp_path, "wheels")
    without = [need("unshare", "util-linux"), "-rn"]
    run(*without, sys.executable, "-m", "venv", tmp_path / "venv")
    pip = ["-m", "pip", "install", "--no-index", "--find-links", tmp_path / "wheels", "nodekiln"]
    isolated = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_CONSTRAINT": "", "PYTHONPATH": ""}
    run(*without, tmp_path / "venv/bin/python", *pip, env=isolated, cwd=there)
    run(*without, tmp_path / "venv/bin/nodekiln", "build:node", "--from", tmp_path / "two.tar", cwd=there, env=isolated)
    assert sums(there) == bundled.sums
    run(need("skopeo"), "inspect", "--raw", f"oci-archive:{tmp_path}/one.tar:bundle")
