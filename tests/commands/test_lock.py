"""doit lock: what it writes down, and what it says when a tag has moved. The registry is a layout that changes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.lock import _moved
from pipeline.planning.lock import Lock, read, write
from tests.oci import craft, servers
from tests.oci.servers import Request
from tests.project import doit, new_project
from tests.trust import signing

SPEC = """\
init: ["base:1"]
services:
  - {name: web, image: "web:1"}
build:
  formats: [tar]
"""
LABEL = "org.mobyproject.config"
BEFORE = {"Cmd": ["/web"], "Env": ["A=1"], "User": "web", "Labels": {LABEL: '{"pid":"host"}', "other": "1"}}
AFTER = {"Cmd": ["/web", "-v"], "Env": ["A=1"], "WorkingDir": "/\x1b", "Labels": {LABEL: '{"net":"host"}'}}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images; the working folder is a project that uses them."""
    root = new_project(tmp_path / "project", node=SPEC)
    monkeypatch.chdir(root)
    monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=oci:{tmp_path}/layout")
    publish(tmp_path / "layout", BEFORE, "web")
    return tmp_path / "layout"


def publish(layout: Path, config: dict[str, Any], *contents: str) -> list[str]:
    """The layout's images from now on: `base:1` as ever, `web:1` with a layer for each of `contents`; their digests."""
    (layout / "index.json").unlink(missing_ok=True)
    layers = [craft.archive(craft.entry("bin", data=text.encode())) for text in contents]
    base = craft.image(layout, [craft.archive(craft.entry("sbin"))], name="docker.io/library/base:1")
    return [base, craft.image(layout, layers, name="docker.io/library/web:1", config={"config": config})]


def locked() -> Any:
    return json.loads(Path("specs/node.lock").read_text())


def test_how_an_image_is_run_is_written_down(layout: Path) -> None:
    assert "2 names locked, 2 resolved now" in doit("lock:node")
    facts = locked()["images"]["docker.io/library/web:1"]["platforms"]["amd64"]["facts"]
    assert facts == BEFORE | {"Labels": {LABEL: '{"pid":"host"}'}}
    before = Path("specs/node.lock").read_bytes()
    assert "2 names locked, 0 resolved now" in doit("lock")
    doit("lock", "--update", "all")
    assert Path("specs/node.lock").read_bytes() == before


def test_what_moved_is_told_and_not_written(layout: Path) -> None:
    doit("lock")
    assert "nothing moved" in doit("lock", "--check")
    before, (_, old) = Path("specs/node.lock").read_bytes(), publish(layout, BEFORE, "web")
    _, new = publish(layout, AFTER, "web", "more")
    told = doit("lock:node", "--check", code=1)
    assert f"docker.io/library/web:1 (amd64): {old[:19]} -> {new[:19]}, " in told
    assert "1 of 2 layers as before, config changed" in told
    assert [line.strip() for line in told.splitlines() if line.startswith("    ")] == [
        'Cmd: ["/web"] -> ["/web", "-v"]',
        'label org.mobyproject.config: "{\\"pid\\":\\"host\\"}" -> "{\\"net\\":\\"host\\"}"',
        'User: "web" -> (none)',
        'WorkingDir: (none) -> "/\\u001b"',
    ]
    assert "base" not in told and "Traceback" not in told
    assert Path("specs/node.lock").read_bytes() == before


def test_an_index_that_moved_for_others_is_not_told(layout: Path) -> None:
    """What is locked is the platform's manifest."""
    doit("lock")
    publish(layout, BEFORE, "web")
    assert "nothing moved" in doit("lock", "--check")


def test_a_config_that_changed_in_nothing_that_counts(layout: Path) -> None:
    doit("lock")
    publish(layout, BEFORE | {"Labels": {LABEL: '{"pid":"host"}', "other": "2"}}, "web")
    told = doit("lock", "--check", code=1)
    assert "1 of 1 layers as before, config changed" in told and "other" not in told


def test_a_lock_from_before_it_had_facts(layout: Path) -> None:
    doit("lock")
    old = locked()
    del old["images"]["docker.io/library/web:1"]["platforms"]["amd64"]["facts"]
    Path("specs/node.lock").write_text(json.dumps(old))
    publish(layout, AFTER, "web")
    told = doit("lock", "--check", code=1)
    assert "config changed" in told and "Cmd" not in told


def test_one_name_is_moved(layout: Path) -> None:
    doit("lock")
    base, new = publish(layout, AFTER, "other")
    assert "nothing" not in doit("lock", "--update", "web:1")
    images = locked()["images"]
    assert images["docker.io/library/web:1"]["platforms"]["amd64"]["manifest"] == new
    assert images["docker.io/library/base:1"]["platforms"]["amd64"]["manifest"] == base
    assert "it names base:1, web:1" in doit("lock:node", "--update", "wbe:1", code=3)


def test_what_is_not_locked_is_told_by_check_and_refused_where_locks_are_final(
    layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = doit("lock", "--check", code=1)
    assert "docker.io/library/web:1 (amd64): not locked" in told and not Path("specs/node.lock").exists()
    monkeypatch.setenv("NODEKILN_LOCKED", "1")
    assert "NODEKILN_LOCKED=1 is set" in doit("build:node", code=1)
    assert not Path("specs/node.lock").exists()


def test_an_image_that_is_refused_is_bad_input(layout: Path) -> None:
    (layout / "index.json").unlink()
    for name in ("base", "web"):
        craft.image(layout, [craft.archive(craft.entry("x" * 300))], name=f"docker.io/library/{name}:1")
    doit("lock")
    told = doit("build:node", code=3)
    assert "a name of more than 255 bytes" in told and "Traceback" not in told


def test_offline_only_what_needs_the_network_fails(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    assert "2 names locked, 2 resolved now" in doit("lock")
    told = doit("push:node", "--to", "127.0.0.1:1/x:1", code=1)
    assert "NODEKILN_OFFLINE is set, and 127.0.0.1:1/v2/x/" in told
    monkeypatch.delenv("NODEKILN_MIRROR")
    told = doit("lock", "--update", "web:1", code=1)
    assert "NODEKILN_OFFLINE is set" in told and "docker.io" in told


@pytest.mark.parametrize("words", [["lock:node", "--offline"], ["lock", "offline=1"], ["build:node", "offline=1"]])
def test_offline_as_a_word_of_doit(layout: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://127.0.0.1:{listener.getsockname()[1]}")
        told = doit(*words, code=1)
        assert "NODEKILN_OFFLINE is set, and 127.0.0.1" in told and "Traceback" not in told
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_specs_that_share_names(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is asked for once, so that one word has one meaning, and all that moved is told."""
    Path("specs/other.yml").write_text("init: ['base:1']\nbuild: {formats: [tar]}\n")
    with servers.server(layout) as far:
        for name in ("base", "web"):
            far.manifests[name] = far.manifests[f"docker.io/library/{name}:1"]
        far.rules.append(_by_repository)
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://{far.host}")
        told = doit("lock")
        assert "specs/node.lock: 2 names locked" in told and "specs/other.lock: 1 names locked" in told
        assert sorted(path for path in far.paths if path.endswith("/1")) == [
            f"/v2/library/{name}/manifests/1" for name in ("base", "web")
        ]
    monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=oci:{layout}")
    (layout / "index.json").unlink()
    for name in ("base", "web"):
        craft.image(layout, [craft.archive(craft.entry("new"))], name=f"docker.io/library/{name}:1")
    lines = doit("lock", "--check", code=1).splitlines()
    assert [line for line in lines if line.endswith(".lock:")] == ["specs/node.lock:", "specs/other.lock:"]
    assert sum("base:1 (amd64): sha256:" in line for line in lines) == 2
    assert sum("web:1 (amd64): sha256:" in line for line in lines) == 1
    assert "2 names locked, 1 resolved now" in doit("lock", "--update", "web:1")


def test_offline_0_is_online(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.server() as empty:
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://{empty.host}")
        assert "answers 404" in doit("lock", "offline=0", code=1)


def test_names_are_resolved_side_by_side(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry answers the first question for a tag only once the second has been asked."""
    both = threading.Barrier(2)

    def together(request: Request) -> bool:
        if request.path.endswith("/manifests/1"):
            both.wait(60)
        return False

    with servers.server(layout) as far:
        for name in ("base", "web"):
            far.manifests[name] = far.manifests[f"docker.io/library/{name}:1"]
        far.rules += [together, _by_repository]
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://{far.host}")
        assert "2 names locked, 2 resolved now" in doit("lock")
    assert not both.broken


def _by_repository(request: Request) -> bool:
    """`library/NAME/manifests/1` is what the server holds as NAME."""
    *_, repository, kind, tag = request.path.split("/")
    if (kind, tag) != ("manifests", "1"):
        return False
    data, media_type = request.server.manifests[repository]
    return request.answer(200, data, Content_Type=media_type)


def test_packages_that_moved() -> None:
    def with_packages(*packages: tuple[str, str, int]) -> Lock:
        entries = [
            {"name": name, "version": version, "sha256": version * 2, "size": size} for name, version, size in packages
        ]
        return Lock({}, {"sshd": {"amd64": {"request": "", "packages": entries}}})

    before = with_packages(("libc", "1", 5), ("ssh", "1", 7), ("same", "3", 1))
    assert list(_moved(before, with_packages(("libc", "2", 6), ("same", "3", 1), ("zlib", "4", 2)))) == [
        "sshd (amd64): libc 1 -> 2, 5 -> 6 bytes",
        "sshd (amd64): ssh 1 -> (none), 7 -> 0 bytes",
        "sshd (amd64): zlib (none) -> 4, 0 -> 2 bytes",
    ]


def test_an_archive_that_others_signed_is_named_once() -> None:
    def with_signers(*fingerprints: str) -> Lock:
        signers = [{"fingerprint": each, "user": f"{each}@example.org"} for each in fingerprints]
        entry = {"request": "", "packages": [], "archives": {"debian trixie": {"signers": signers}}}
        return Lock({}, {"sshd": {"amd64": entry}, "tool": {"amd64": entry, "arm64": entry}})

    both, old = with_signers("a", "b"), {"request": "", "packages": []}
    line = "debian trixie: archive signed by a (a@example.org), b (b@example.org) -> a (a@example.org)"
    assert list(_moved(both, with_signers("a"))) == [line]
    assert list(_moved(both, with_signers())) == [line.partition(" -> ")[0] + " -> nobody"]
    assert list(_moved(both, both)) == []
    assert list(_moved(Lock({}, {"sshd": {"amd64": old}}), both)) == [], "a lock without signers"


def test_two_that_write_one_lock_do_not_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have written theirs before either renames it: names that they shared would leave one without a file."""
    path, both = tmp_path / "a.lock", threading.Barrier(2)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    locks = [Lock({f"image-{number}": {"platforms": {}}}, {}) for number in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda lock: write(path, lock), locks))
    assert read(path) in locks and [each.name for each in tmp_path.iterdir()] == ["a.lock"]


def test_the_lock_and_the_build_of_one_run(layout: Path) -> None:
    assert "locked" in doit("lock", "build")
    assert Path("build/node/node.tar").exists()
    assert sorted(path.name for path in Path("specs").iterdir()) == ["node.lock", "node.yml"]


def test_bills_of_materials_of_an_image(layout: Path) -> None:
    """Locked, shown, merged offline, and reported by --check when there is another."""
    Path("specs/node.yml").write_text(SPEC.replace("[tar]", "[spdx]\n  sbom: external"))
    attach(layout, layout_bill(FLASK))
    told = doit("lock")
    assert "docker.io/library/web:1: 1 bill of materials, 1 package\n" in told
    assert "docker.io/library/base:1: no bill of materials\n" in told
    doit("build", NODEKILN_LOCKED="1")
    built = Path("build/node/node.spdx.json").read_bytes()
    assert built.count(FLASK.encode()) == 1
    assert "nothing moved" in doit("lock", "--check")
    attach(layout, layout_bill("pkg:pypi/six@1"))
    told = doit("lock", "--check", code=1)
    assert "docker.io/library/web:1: bills of materials sha256:" in told and ", sha256:" in told
    doit("build", NODEKILN_LOCKED="1", NODEKILN_OFFLINE="1")
    assert Path("build/node/node.spdx.json").read_bytes() == built
    assert "2 bills of materials, 2 packages" in doit("lock", "--update", "web:1")
    doit("build:node")
    assert b"pkg:pypi/six@1" in Path("build/node/node.spdx.json").read_bytes()
    done = doit("verify:node", "--formats", "spdx,cyclonedx")
    assert "4 of 4 agree" in done


FLASK = "pkg:pypi/flask@3"


def layout_bill(url: str) -> bytes:
    refs = [{"referenceType": "purl", "referenceLocator": url}]
    package = {"SPDXID": "SPDXRef-x", "name": "x", "externalRefs": refs}
    return json.dumps({"spdxVersion": "SPDX-2.3", "packages": [package]}).encode()


def attach(layout: Path, data: bytes) -> None:
    """Adds a bill of materials of web:1 to the layout."""
    index = json.loads((layout / "index.json").read_text())
    names = {each.get("annotations", {}).get("org.opencontainers.image.ref.name"): each for each in index["manifests"]}
    signing.sign(layout, names["docker.io/library/web:1"]["digest"], data, "application/spdx+json")
