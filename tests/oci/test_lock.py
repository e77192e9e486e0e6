"""doit lock: what it writes down, and what it says when a tag has moved. The registry is a layout that changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.oci import craft
from tests.oci.test_commands import ROOT, doit

SPEC = """\
init: ["base:1"]
services:
  - {name: web, image: "web:1"}
build:
  formats: [tar]
"""
LABEL = "org.mobyproject.config"
BEFORE = {"Cmd": ["/web"], "Env": ["A=1"], "User": "web", "Labels": {LABEL: '{"pid":"host"}', "other": "1"}}
AFTER = {"Cmd": ["/web", "-v"], "Env": ["A=1"], "WorkingDir": "/\x1b", "Labels": {LABEL: '{"net":"host"}', "other": "2"}}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images; the working folder is a project that uses them."""
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    shutil.copy(ROOT / "dodo.py", root)
    (root / "specs/node.yml").write_text(SPEC)
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
