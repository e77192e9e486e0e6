"""Runs agree, or what made them differ is found and named."""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

from pipeline.inspect import conditions, runs
from pipeline.inspect.explain import BuiltFormat
from pipeline.inspect.record import inside
from tests.judges import need, needs_root, run

TOUCHING = """\
def files(store, *below, **params):
    tree = Tree(store.tree(honest(store, *below, **params)))
    tree["etc/deep/motd"] = tree["etc/deep/motd"]._replace({field}={value})
    return store.put_tree(tree)
"""


def test_an_honest_project_agrees(doit):
    done = doit("verify:node")
    assert "2 of 2 agree (2 runs × 1 formats)" in done.stdout
    assert "!" not in done.stdout
    assert re.search(r"^kernel\+initrd  [0-9a-f]{12}  all 2 agree$", done.stdout, re.MULTILINE)


def test_json_for_programs(doit):
    table = json.loads(doit("verify:node", "--runs", "3", "--jobs", "1", "--formats", "tar", "--json", "-").stdout)
    assert [row["name"] for row in table["runs"]] == [each.name for each in conditions.select(3, False)]
    assert table["agree"] == table["of"] == 3 * len(table["formats"]) and all(table["formats"].values())


def test_a_stage_that_looks_at_the_clock_is_named(doit, tamper):
    tamper("files", "import time\n\n\n" + TOUCHING.format(field="mtime", value="int(time.time()) // 10**9"))
    done = doit("verify:node", code=1)
    assert "the first stage that differs: files" in done.stdout
    assert "etc/deep/motd → mtime: 1 | 2" in done.stdout
    assert "node-initrd.img → archives → archive 1 (etc) → cpio → etc/deep/motd → mtime: 1 | 2" in done.stdout
    assert "1 of 2 agree" in done.stderr + done.stdout
    assert re.search(r"^kernel\+initrd  [0-9a-f]{12}  not the same: all other$", done.stdout, re.MULTILINE)


def test_each_condition_is_told_from_the_others(doit, tamper, project):
    """What a stage must not look at, one at a time: exactly the runs that vary it differ."""
    cases = {
        "hash seed": "hash('x') % 10**6",
        "time zone": "__import__('time').localtime(0).tm_hour",
        "locale": "len(__import__('os').environ['LANG'])",
        "one processor": "__import__('os').cpu_count() == 1",
        "long path": "len(__import__('os').getcwd()) > 180",
        "other user": "__import__('os').getuid()",
        "other TMPDIR": "__import__('os').environ['TMPDIR'].startswith('/dev/shm')",
        "listing order": "__import__('os').listdir('pipeline').index('store')",
    }
    value = " + ".join(f"int({code}) * {7**number}" for number, code in enumerate(cases.values()))
    tamper("files", TOUCHING.format(field="mtime", value=f"({value}) % 2**31"))
    doit("verify:node", "--full", "--json", "table.json", code=1)
    rows = json.loads((project / "table.json").read_text())["runs"]
    differing = {row["name"] for row in rows if row["explanations"]}
    done_here = {row["name"] for row in rows if not row["left_out"]}
    assert differing == ({*cases, "all other"} & done_here) | {"all other"}


def test_a_run_that_fails_is_shown_and_counts_against(doit, tamper):
    tamper("files", "def files(store, *below, **params):\n    raise OSError('the stage broke')\n")
    done = doit("verify:node", code=1)
    assert "the stage broke" in done.stdout
    assert "0 of 2 agree" in done.stdout + done.stderr


def test_a_record_says_what_a_build_was_made_of(doit, project):
    doit("build:node")
    path = project / "build/node/manifest.json"
    record = json.loads(path.read_text())
    assert record["spec"] == {"specs/node.yml": summed(project / "specs/node.yml")}
    assert record["lock"] == summed(project / "specs/node.lock")
    entry = record["formats"]["kernel+initrd"]
    assert all(re.fullmatch("[0-9a-f]{64}", stage["key"]) for stage in entry["stages"].values())
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", stage["result"]) for stage in entry["stages"].values())
    assert re.search(r"cpio-\d.* zstandard-\d.* deflate-\d", entry["stages"]["fragment/files"]["version"])
    for name, facts in entry["files"].items():
        file = project / "build/node" / name
        assert (f"sha256:{facts['sha256']}", facts["size"]) == (summed(file), file.stat().st_size)
    before = path.read_bytes()
    for name in ("cache", "build"):
        shutil.rmtree(project / name)
    doit("build:node")
    assert path.read_bytes() == before


def summed(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_against_a_record(doit, project):
    doit("build:node")
    assert "3 of 3 agree" in doit("verify:node", "--against", "build/node/manifest.json").stdout


def test_against_the_record_of_another_build(doit, project):
    doit("build:node")
    spec = project / "specs/node.yml"
    spec.write_text(spec.read_text().replace("welcome", "hello"))
    done = doit("verify:node", "--against", "build/node", code=1)
    assert "the first stage that differs: files" in done.stdout
    assert "etc/deep/motd → line 1: welcome | hello" in done.stdout


def test_against_no_record(doit, project):
    done = doit("verify:node", "--against", "specs/node.lock", code=3)
    assert "not a record of a build" in done.stderr


def test_a_damaged_blob_is_not_taken_along(doit, project):
    """A run starts with blobs that are what the lock says, or without them."""
    from pipeline.inspect.copies import intact, prepare
    from pipeline.model.digest import Digest
    from pipeline.project.project import Project

    there = Project(project)
    good, bad = there.store.put(b"good"), there.store.put(b"bad")
    there.store.path(bad).chmod(0o644)
    there.store.path(bad).write_bytes(b"BAD")
    prepare(there, project.parent / "copy", conditions.PLAIN, intact(there, [good, bad, Digest.of(b"absent")]))
    taken = [path.name for path in (project.parent / "copy/cache/blobs/sha256").iterdir()]
    assert taken == [good.hex]


def test_what_one_run_fetched_serves_the_others(project):
    """Verified on its way; what is not what the lock says stays where it is."""
    from pipeline.inspect.copies import adopt_fetched, intact
    from pipeline.model.digest import Digest
    from pipeline.project.project import Project
    from pipeline.store import Store

    there, run = Project(project), Store(project.parent / "copy/cache")
    good, bad = run.put(b"good"), run.put(b"bad")
    run.path(bad).chmod(0o644)
    run.path(bad).write_bytes(b"BAD")
    adopt_fetched(there, project.parent / "copy", [good, bad, Digest.of(b"absent")])
    assert there.store.get(good) == b"good" and not there.store.has(bad)
    assert intact(there, [good, bad]) == [good]


def test_a_record_of_another_version_is_refused_before_anything_is_built(doit, project):
    doit("build:node")
    path = project / "build/node/manifest.json"
    record = json.loads(path.read_text())
    stages = record["formats"]["kernel+initrd"]["stages"]
    stages["files"]["version"] = "older"
    (project / "record.json").write_text(json.dumps(record))
    done = doit("verify:node", "--against", "record.json", code=3)
    assert "files: made by version older of pipeline.stages.files, which is" in done.stderr
    assert "plain" not in done.stdout


def test_formats_that_are_not_there(doit):
    assert "there is no format 'floppy'" in doit("verify:node", "--formats", "floppy", code=3).stderr


def test_diffoscope_is_linked(doit, tamper, project):
    need("diffoscope", "diffoscope-minimal")
    tamper("files", "import time\n\n\n" + TOUCHING.format(field="mtime", value="int(time.time()) // 10**9"))
    said = doit("verify:node", code=1).stdout
    page = project / "build/node/diffoscope/all other/node-initrd.img.html"
    assert f"diffoscope's report: {page}" in said
    assert "diffoscope" not in doit("verify:node", "--no-diffoscope", code=1).stdout
    assert "diffoscope" in page.read_text()


def test_what_a_killed_verification_left_is_removed(doit, project):
    left = project / "cache/verify/99999-abc.99999-0"
    (left / "project").mkdir(parents=True)
    doit("verify:node")
    assert list((project / "cache/verify").iterdir()) == []


@needs_root
def test_verified_by_somebody_who_is_not_root(doit, project):
    """Nobody verifies; the other user is root then, of a namespace. A machine that forbids those says so."""
    for path in (project, *project.rglob("*")):
        os.chown(path, conditions.NOBODY, conditions.NOBODY, follow_symlinks=False)
    _, command, missing = conditions.adapt(conditions.OTHER, [project, Path(sys.executable)])
    assert not missing
    words = [*command, sys.executable, "-m", "doit", "verify:node", "--json", "table.json"]
    said = run(*words, cwd=project, env={"HOME": str(project)}).stdout
    assert "2 of 2 agree" in said
    row = json.loads((project / "table.json").read_text())["runs"][1]
    assert "other user" in row["said"] or "another user: unshare" in row["left_out"]


def test_another_provenance_of_the_same_files_is_a_fault(tmp_path):
    def built(name: str, statement: str, sums: str = "1") -> dict[str, BuiltFormat]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "provenance.json").write_text(statement)
        return {"tar": BuiltFormat({"files": {"node.tar": {"sha256": sums}}}, inside(folder), None)}

    first = built("a", "{}")
    assert runs._other_statement(first, built("b", "{}")) == ""
    assert runs._other_statement(first, built("c", "{ }")) == "provenance.json of tar is not that of the first run"
    assert runs._other_statement(first, built("d", "{ }", "2")) == "", "the files differ, which is reported already"
