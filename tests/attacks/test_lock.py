"""Locks of strangers: whatever they hold, a command ends with one line, and touches nothing outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.errors import NodekilnError
from pipeline.packages.package import Package
from pipeline.planning import lock
from tests.attacks.conftest import Project

GOOD = {"manifest": "sha256:" + "0" * 64, "config": {}, "layers": [], "facts": {}}


def locked(image: object) -> dict[str, Any]:
    return {"version": 1, "images": {"oci:x": image}, "packages": {}}


BAD: dict[str, Any] = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": [],
    "no version": {"images": {}, "packages": {}},
    "another version": {"version": 2, "images": {}, "packages": {}},
    "no images": {"version": 1, "packages": {}},
    "images as a list": {"version": 1, "images": [], "packages": {}},
    "an image as a text": locked("y"),
    "no platforms": locked({}),
    "a platform as a text": locked({"platforms": {"amd64": "y"}}),
    "a manifest as a number": locked({"platforms": {"amd64": {**GOOD, "manifest": 1}}}),
    "layers as a text": locked({"platforms": {"amd64": {**GOOD, "layers": "y"}}}),
    "a size as a text": locked({"platforms": {"amd64": {**GOOD, "layers": [{"size": "1"}]}}}),
    "signatures as a text": locked({"platforms": {}, "signatures": "y"}),
    "a signature as a text": locked({"platforms": {}, "signatures": ["y"]}),
    "a signature of no time": locked({"platforms": {}, "signatures": [{
        "rule": "", "signer": "", "kind": "", "time": "", "subject": GOOD["manifest"], "evidence": GOOD["manifest"],
    }]}),
    "packages as a text": {"version": 1, "images": {}, "packages": {"r": {"amd64": {"request": "", "packages": "y"}}}},
    "no request": {"version": 1, "images": {}, "packages": {"r": {"amd64": {"packages": []}}}},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_lock_is_one_line(name: str, project: Project) -> None:
    bad = BAD[name]
    project.spec(
        'init: ["oci:x"]\nbuild: {formats: [tar], arch: amd64}\n', bad if isinstance(bad, str) else json.dumps(bad)
    )
    for command in ("build:x", "check:x", "why:x", "lock:x"):
        assert "specs/x.lock: " in project.refuses(command)


PATHS = [
    "../../probe",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../../b",
    "sha256:../../x",
    "md5:" + "0" * 32,
    "sha256:" + "0" * 63,
]


@pytest.mark.parametrize("digest", PATHS)
def test_a_digest_is_no_path(digest: str, project: Project) -> None:
    image = {"oci:x": {"index": None, "platforms": {"amd64": {**GOOD, "manifest": digest}}}}
    text = json.dumps({"version": 1, "images": image, "packages": {}})
    project.spec('init: ["oci:x"]\nbuild: {formats: [tar], arch: amd64}\n', text)
    for command in ("build:x", "plan:x", "gc", "check:x"):
        ended = project.doit(command)
        assert "Traceback" not in ended.stderr, ended.stderr


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "packages", "platforms", "amd64", "manifest", "layers", "config", "request", "size", "x", "signatures",
            "rule", "signer", "kind", "time", "subject", "evidence",
        ]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=json_values, packages=json_values)
def test_anything_is_a_lock_or_an_error(images: Any, packages: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text(json.dumps({"version": 1, "images": images, "packages": packages}))
    try:
        found = lock.read(path)
    except NodekilnError as error:
        assert str(error).isprintable()
        return
    for wanted in (lock.LockRequest("x", "amd64"), lock.LockRequest("x", "amd64", "images/x", "")):
        found.get(wanted)
    found.only([lock.LockRequest("x", "amd64")])
    for reference in found.images:
        assert all(lock.seconds(each["time"]) for each in found.signatures(reference))


@given(
    st.dictionaries(
        st.sampled_from([*Package._fields, "more"]), st.none() | st.integers() | st.text() | st.lists(st.text())
    )
)
def test_anything_is_a_package_or_an_error(document: dict[str, Any]) -> None:
    try:
        found = Package.parse(document)
    except NodekilnError:
        return
    assert all(str(each).isprintable() for each in found)
