"""Every kind of object in cache/ and build/, damaged in every way: the next build gives the right bytes, or a line."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.gc import blobs, records
from pipeline.host.stamp import stamp
from pipeline.incremental import open_store
from pipeline.model.columns import START
from pipeline.model.digest import Digest
from pipeline.planning import lock
from tests.damage import flip
from tests.oci import craft
from tests.project import declare, run_doit

Sums = list[dict[str, str]]
LARGE = 400_000
"""Bytes of the file `large` of an image: more than are hashed whenever they are opened."""
SPEC = """\
init: ["oci:../layout:base"]
services:
  - {{name: web, image: "oci:../layout:web"}}
files:
  - {{path: etc/motd, contents: "{motd}"}}
build: {{formats: [kernel+initrd, tar], compress: {compress}}}
"""


def write(project: Path, name: str = "node", motd: str = "hello", compress: str = "zstd:1") -> None:
    (project / "specs" / f"{name}.yml").write_text(SPEC.format(motd=motd, compress=compress))


def sums(project: Path) -> dict[str, str]:
    """The files in build/node. The record must say the same of them (and, of stages that the store forgot, nothing)."""
    files = [
        path for path in (project / "build/node").iterdir() if path.name not in ("manifest.json", "provenance.json")
    ]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    formats = json.loads((project / "build/node/manifest.json").read_bytes())["formats"]
    recorded = {name: facts["sha256"] for entry in formats.values() for name, facts in entry["files"].items()}
    assert recorded == {name: digest for name, digest in found.items() if name != "SHA256SUMS"}
    return found


def build(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = run_doit(*(words or ("build:node",)), cwd=project)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


SPECS = ({"motd": "hello", "compress": "zstd:1"}, {"motd": "changed", "compress": "gzip:1"})
"""What the node says, in turn."""


def layer(name: str) -> bytes:
    noise = b"\0" + random.Random(name).randbytes(LARGE)  # a program of whatever kind
    return craft.archive(craft.entry(f"bin-{name}", data=noise, mode=0o755), craft.entry("large", data=noise[::-1]))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a registry beside it, in which two nodes were built, one of them again and again: so that there is
    every kind of object."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "project/specs").mkdir(parents=True)
    declare(folder / "project")
    for name in ("base", "web"):
        craft.image(folder / "layout", [layer(name)], name=name, config={"config": {"Cmd": [f"/bin-{name}"]}})
    write(folder / "project", "other", motd="other")
    assert build(folder / "project", "build:other").returncode == 0
    return folder / "project"


@pytest.fixture(scope="module")
def right(project: Path) -> Sums:
    """The right bytes of each of SPECS."""
    found: Sums = []
    for spec in SPECS:
        write(project, **spec)
        assert build(project).returncode == 0
        found.append(sums(project))
    return found


def tree(path: Path) -> bool:
    return path.read_bytes().startswith(START)


def stored_lock(project: Path) -> list[Path]:
    """A lock that a killed process left."""
    path = project / "cache/locks/export-left"
    path.write_bytes(b"")
    return [path]


KINDS: dict[str, Callable[[Path], list[Path]]] = {
    "blob": lambda project: [path for _, path in blobs(open_store(project / "cache")) if not tree(path)],
    "tree": lambda project: [path for _, path in blobs(open_store(project / "cache")) if tree(path)],
    "record": lambda project: [path for path, _ in records(open_store(project / "cache"))],
    "memo": lambda project: list(project.glob("cache/sums/*/*")),
    "seed": lambda project: list(project.glob("cache/spares/*")),
    "stored lock": stored_lock,
    "layout": lambda project: [project / "cache/oci-layout"],
    "outline": lambda project: list(project.glob("build/.plans/*")),
    "state": lambda project: list(project.glob("build/.doit.db*")),
    "what was written": lambda project: list(project.glob("build/.written/*")),
    "journal": lambda project: [project / "build/.last.json"],
    "lock": lambda project: list(project.glob("specs/*.lock")),
    "export": lambda project: [path for path in project.glob("build/node/*") if path.is_file()],
}


def flipped(path: Path, others: list[Path], chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def truncated(path: Path, others: list[Path], chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size + 1))


def emptied(path: Path, others: list[Path], chance: random.Random) -> None:
    path.write_bytes(b"")


def replaced(path: Path, others: list[Path], chance: random.Random) -> None:
    other = chance.choice(others)
    if other != path:
        path.write_bytes(other.read_bytes())


def deleted(path: Path, others: list[Path], chance: random.Random) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [flipped, truncated, emptied, replaced, deleted])
@pytest.mark.parametrize("kind", KINDS)
def test_the_next_builds_are_right_or_say_one_line(
    project: Path, right: Sums, kind: str, damage: Callable[[Path, list[Path], random.Random], None]
) -> None:
    """Half of the objects of a kind are damaged, and half of what actions gave is forgotten, so that there is work."""
    chance = random.Random(f"{kind} {damage.__name__}")
    locks = {path: path.read_bytes() for path in KINDS["lock"](project)}
    now = right.index(sums(project))
    for spec in (SPECS[1 - now], SPECS[now]) if kind == "seed" else ():  # damage that was found removes seeds
        write(project, **spec)
        assert build(project).returncode == 0
    for path in chance.sample(KINDS["record"](project), len(KINDS["record"](project)) // 2):
        path.unlink()
    its = KINDS[kind](project)
    assert its
    for path in its:
        if chance.random() < 0.5 or len(its) < 4:
            path.chmod(0o644)
            damage(path, its, chance)
    for number in (now, 1 - now):
        write(project, **SPECS[number])
        done = build(project)
        if kind == "lock":
            if done.returncode:
                assert len(done.stderr.splitlines()) <= 2, done.stderr  # one for each spec
            for path, data in locks.items():
                path.write_bytes(data)
            done = build(project)
        assert done.returncode == 0, done.stdout + done.stderr
        assert sums(project) == right[number]


def web(project: Path) -> Path:
    """The blob of the layer of `web`: what a service's files are slices of."""
    return project / "cache/blobs/sha256" / hashlib.sha256(layer("web")).hexdigest()


def fresh(project: Path) -> dict[str, str]:
    """What a build of the spec as it is now gives in a checkout that has nothing yet."""
    place = project.with_name("fresh")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(project, place, ignore=shutil.ignore_patterns("build", "cache"))
    assert build(place).returncode == 0
    return sums(place)


def test_a_flipped_byte_of_a_layer_is_not_built_in_and_the_build_says_so(project: Path, right: Sums) -> None:
    blob = web(project)
    build(project, "fsck")  # what other tests have damaged
    build(project)
    flip(blob, LARGE // 2)
    write(project, compress="zstd:5")
    done = build(project)
    assert done.returncode == 0 and sums(project) == fresh(project)
    said = f"{blob} was damaged: it is made again, and all that was made of it\n"
    assert f"warning: {said}" in done.stderr
    assert f"damaged objects of the cache: 1\n{said}" in done.stdout
    assert "blobs are what their names say" in build(project, "fsck").stdout
    write(project, **SPECS[0])
    assert build(project).returncode == 0 and sums(project) == right[0]


def test_fsck_drops_what_was_made_of_damage_that_left_no_trace(project: Path, right: Sums) -> None:
    """The disk lost a bit, and no time stamp says so: what is built of it is wrong until fsck has read the blob."""
    store, blob = open_store(project / "cache"), web(project)
    flip(blob, LARGE // 2)
    store.verified.add(Digest("sha256:" + blob.name), stamp(os.stat(blob)))
    write(project, compress="zstd:6")
    honest = fresh(project)
    assert build(project).returncode == 0 and sums(project) != honest
    checked = build(project, "fsck")
    assert checked.returncode == 1
    assert f"removed blob sha256:{blob.name}: is not what its name says\n" in checked.stderr
    assert re.search(r"^\d+ damaged objects, and \d+ results of theirs: the next build", checked.stderr, re.MULTILINE)
    done = build(project)
    assert done.returncode == 0 and sums(project) == honest
    assert "(damage was found in the cache since)" in done.stdout
    assert " 0 ran, 0 restored" in f" {build(project).stdout}"
    write(project, **SPECS[0])
    assert build(project).returncode == 0 and sums(project) == right[0]


def test_a_fresh_checkout_gets_no_wrong_byte_out_of_a_shared_cache(
    project: Path, right: Sums, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(web(project), LARGE // 2)
    monkeypatch.setenv("NODEKILN_CACHE", str(project / "cache"))
    fresh = project.with_name("checkout")
    shutil.copytree(project, fresh, ignore=shutil.ignore_patterns("build", "cache"))
    assert build(fresh).returncode == 0
    assert sums(fresh) == sums(project)


@pytest.mark.parametrize("name", ["node.tar", "node-initrd.img", "SHA256SUMS", "manifest.json", "provenance.json"])
def test_results_that_something_was_done_to_are_made_again(project: Path, right: Sums, name: str) -> None:
    assert build(project).returncode == 0
    path, before = project / "build/node" / name, sums(project)
    assert before in right

    def append() -> None:
        with path.open("ab") as file:
            file.write(b"x")

    def quietly() -> None:
        stamp = path.stat()
        flip(path, 30)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    for change, said in (
        (append, "was changed since it was written"), (quietly, "was changed since it was written"),
        (path.unlink, "is gone"),
    ):  # fmt: skip
        change()
        done = build(project)
        assert done.returncode == 0 and sums(project) == before
        assert f"({name} {said})" in done.stdout
        assert " 0 ran" in f" {build(project).stdout}"


@pytest.mark.parametrize(
    "change", [partial(flip, place=LARGE // 2), lambda path: path.unlink()], ids=["flipped", "gone"]
)
def test_a_record_is_held_against_the_files_beside_it(
    project: Path, right: Sums, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    shutil.copytree(project / "build/node", tmp_path / "node")
    change(tmp_path / "node/node.tar")
    done = build(project, "verify:node", "--against", str(tmp_path / "node"))
    assert done.returncode == 3 and "plain" not in done.stdout
    there = r"node\.tar (has sha256 \w{64}|is missing); manifest\.json has \w{64}\n"
    assert re.fullmatch(rf"{tmp_path}/node: {there}", done.stderr)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_lock_that_was_damaged_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What planning takes out of it is what `doit lock` writes, or the lock is refused in a line that names it."""
    path = tmp_path_factory.getbasetemp() / "node.lock"
    image = {"index": None, "platforms": {"amd64": {"manifest": craft.digest(b"x"), "config": {}, "layers": []}}}
    packages = {"hello": {"amd64": {"request": "{}", "packages": [{"name": "hello", "size": 1}]}}}
    document = {"version": 1, "images": {"base:1": image}, "packages": packages}
    place = data.draw(st.sampled_from(list(places(document))[1:]))
    text = json.dumps(put(document, place, data.draw(st.sampled_from([None, 7, "x", [], {}, [1], {"a": 1}])))).encode()
    flipped = bytearray(text)
    flipped[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.sampled_from([0, 1, 2, 4, 8, 16, 32, 64, 128]))
    path.write_bytes(flipped)
    try:
        found = lock.read(path)
        for wanted in (lock.LockRequest("base:1", "amd64"), lock.LockRequest("hello", "amd64", "images/hello", "{}")):
            locked = found.get(wanted)
            assert locked is None or isinstance(locked, list) or Digest.parse(locked["manifest"])
        found.updated([(lock.LockRequest("other", "amd64"), {"index": None, "platforms": {}})])
    except lock.LockError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, the value itself first."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def put(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    """A copy of `value` with `to` at `path`."""
    if not path:
        return to
    value = copy.copy(value)
    value[path[0]] = put(value[path[0]], path[1:], to)
    return value
