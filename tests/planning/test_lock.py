"""Locks: what names meant, read, written and compared."""

import json

import pytest

from pipeline.planning import lock
from pipeline.planning.lock import Lock, LockError, LockRequest

DIGEST = "sha256:" + "0" * 64
IMAGE = {"manifest": DIGEST, "config": {}, "layers": []}


def package(name, version, suite=""):
    return {"name": name, "version": version} | ({"suite": suite} if suite else {})


def locked(*packages, request="r"):
    return Lock({}, {"tool": {"amd64": {"request": request, "packages": list(packages)}}})


def test_what_is_written_is_read_and_the_same_is_not_written_again(tmp_path):
    path = tmp_path / "a.lock"
    assert lock.read(path) == Lock()
    made = Lock({"x": {"index": None, "platforms": {"amd64": IMAGE}}}, locked(package("a", "1")).packages)
    lock.write(path, made)
    before = path.stat()
    lock.write(path, made)
    assert lock.read(path) == made and path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "not a lock"), ("[]", "not a lock"), ('{"version": "1"}', "not a lock"), ('{"version": 0}', "delete it"),
        ('{"version": 99}', "update nodekiln"), ('{"version": 1}', "is not an object"),
        ('{"version": 1, "images": {}, "packages": []}', "is not an object"),
        ('{"version": 1, "images": {"x": {"platforms": {"a": {"manifest": "x"}}}}, "packages": {}}', "is not a digest"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_remedy(tmp_path, text, words):
    (tmp_path / "a.lock").write_text(text)
    with pytest.raises(LockError, match=words):
        lock.read(tmp_path / "a.lock")


def test_a_recipe_is_locked_as_long_as_its_request_is_the_same():
    wanted = LockRequest("tool", "amd64", "images/tool", "r")
    known = locked(package("a", "1"))
    assert known.get(wanted) == [package("a", "1")]
    assert known.get(wanted._replace(request="other")) is None and known.get(wanted._replace(arch="arm64")) is None


def test_another_index_takes_all_platforms_along():
    both = {"index": "one", "platforms": {"amd64": IMAGE}}
    known = Lock().updated(
        [(LockRequest("x", "amd64"), both), (LockRequest("x", "arm64"), both | {"platforms": {"arm64": IMAGE}})]
    )
    assert known.images["x"]["platforms"].keys() == {"amd64", "arm64"}
    known = known.updated([(LockRequest("x", "arm64"), {"index": "two", "platforms": {"arm64": IMAGE}})])
    assert known.images["x"]["platforms"].keys() == {"arm64"}
    assert known.only([LockRequest("y", "amd64")]) == Lock() and known.only([LockRequest("x", "amd64")]) == known


def test_older_versions_and_mixed_releases_are_named():
    now, before = locked(package("a", "1.9")), locked(package("a", "1.10"))
    assert lock.downgrades(before, now) == ["tool (amd64): a 1.10 -> 1.9"] and lock.downgrades(now, before) == []
    assert lock.release_warning(locked(package("a", "1", "bookworm"), package("b", "1", "bookworm-security"))) == ""
    assert "bookworm: tool; trixie: tool" in lock.release_warning(
        locked(package("a", "1", "bookworm"), package("b", "1", "trixie"))
    )


def test_a_release_that_the_project_chose_may_be_older():
    trixie, bookworm = (f'{{"packages":["a"],"sources":["debian {suite} main"]}}' for suite in ("trixie", "bookworm"))
    before, now = locked(package("a", "13"), request=trixie), locked(package("a", "12"), request=bookworm)
    assert lock.downgrades(before, now) == []
    assert lock.downgrades(before, locked(package("a", "12"), request=trixie)) == ["tool (amd64): a 13 -> 12"]
    assert lock.downgrades(locked(package("a", "13"), request='{"packages":["a"]}'), now) == [
        "tool (amd64): a 13 -> 12"
    ]


def test_nothing_is_resolved_where_that_is_forbidden(monkeypatch):
    monkeypatch.setenv("NODEKILN_LOCKED", "1")
    assert lock.resolve([]) == []
    with pytest.raises(LockError, match=r"not locked: x \(amd64\)"):
        lock.resolve([LockRequest("x", "amd64")])


def test_a_lock_is_sorted_json(tmp_path):
    lock.write(tmp_path / "a.lock", locked(package("b", "1")))
    text = (tmp_path / "a.lock").read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize(
    "archive, words",
    [
        ([], "['archives'] is not an object"), ({"x": {}}, "['signers'] is not a list"),
        ({"x": {"signers": [{"fingerprint": "ab"}], "release": DIGEST, "evidence": DIGEST, "indexes": {}}}, "['user']"),
        ({"x": {"signers": [], "release": "ab", "evidence": DIGEST, "indexes": {}}}, "['release'] is not a digest"),
        ({"x": {"signers": [], "release": DIGEST, "evidence": DIGEST, "indexes": {"Packages": 1}}}, "['Packages']"),
    ],
)  # fmt: skip
def test_records_of_archives_have_one_shape(tmp_path, archive, words):
    entry = {"request": "", "packages": [], "archives": archive}
    document = {"version": 1, "images": {}, "packages": {"tool": {"amd64": entry}}}
    (tmp_path / "a.lock").write_text(json.dumps(document))
    with pytest.raises(LockError) as error:
        lock.read(tmp_path / "a.lock")
    assert words in str(error.value)
