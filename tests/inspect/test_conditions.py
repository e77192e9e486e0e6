"""Every condition reaches the process that builds: what its stages see of the world is what the table says."""

import json
import re
import time

import pytest

from pipeline.inspect import conditions
from pipeline.store import Store

WATCHED = '''
def watch(call):
    """Note what this process sees, in a file for each run."""
    import datetime, gc, os, re, time

    runner = next((each for each in gc.get_objects() if type(each).__name__ == "MThreadRunner"), None)
    blob = os.stat("cache/blobs/sha256/%(blob)s")
    seen = {
        "stage": call.stage,
        "user": os.getuid(),
        "umask": int(re.search(r"Umask:\\s+(\\d+)", open("/proc/self/status").read())[1], 8),
        "zone": time.localtime(0).tm_hour,
        "locale": [os.environ["LANG"], os.environ["LC_ALL"]],
        "hash": hash("nodekiln"),
        "dates": [time.time(), datetime.datetime.now().timestamp(), os.stat("pyproject.toml").st_mtime],
        "processors": [os.cpu_count(), len(os.sched_getaffinity(0))],
        "threads": runner.num_process if runner else 1,
        "listing": os.listdir("pipeline/oci"),
        "links": blob.st_nlink > 1,
        "path": len(os.getcwd()),
        "other file system": os.stat(os.environ["TMPDIR"]).st_dev != os.stat(".").st_dev,
        "store": sorted(os.listdir("cache/blobs/sha256")) == ["%(blob)s"],
    }
    run = re.search(r"/verify/[^/]*-(\\d+)/", os.getcwd())[1]
    with open("%(folder)s/" + run, "a") as file:
        file.write(json.dumps(seen) + "\\n")


def here('''


PACKAGE = {"name": "of", "version": "1", "architecture": "amd64", "filename": "of.deb", "size": 9}


@pytest.fixture
def seen(doit, project, tmp_path):
    """What the stages of each run saw, by the run's name; runs that this machine cannot give are left out."""
    folder = tmp_path / "seen"
    folder.mkdir()
    folder.chmod(0o777)
    blob = Store(project / "cache").put(b"a package")
    packages = {"of": {"amd64": {"request": "", "packages": [PACKAGE | {"sha256": blob.hex}]}}}
    (project / "specs/node.lock").write_text(json.dumps({"version": 1, "images": {}, "packages": packages}))
    module = project / "pipeline/engine/action.py"
    text = module.read_text().replace("\ndef here(", WATCHED % {"blob": blob.hex, "folder": folder}, 1)
    text = text.replace("    module, _, name = call.stage", "    watch(call)\n    module, _, name = call.stage", 1)
    module.write_text(text)
    doit("verify:node", "--full", "--json", "table.json")
    table = json.loads((project / "table.json").read_text())
    assert table["formats"] == {"kernel+initrd": True} and (table["agree"], table["of"]) == (17, 17)
    rows = table["runs"]
    assert [row["name"] for row in rows] == [each.name for each in conditions.select(0, True)]
    assert len({json.dumps(row["sums"]) for row in rows}) == 1
    found = {
        row["name"]: [json.loads(line) for line in (folder / str(number)).read_text().splitlines()]
        for number, row in enumerate(rows)
    }
    return {row["name"]: found[row["name"]] for row in rows if not row["left_out"]}


def facts(seen, name):
    """Run -> what its stages saw under this name, all of them the same."""
    found = {run: [each[name] for each in stages] for run, stages in seen.items()}
    assert all(value == values[0] for values in found.values() for value in values)
    return {run: values[0] for run, values in found.items()}


def differing(seen, name):
    """The runs in which a fact is another than in the plain one."""
    found = facts(seen, name)
    return {run for run, value in found.items() if value != found["plain"]}


def test_every_condition_is_seen_by_the_stages(seen):
    other = {"all other"} & seen.keys()
    assert differing(seen, "user") == other | ({"other user"} & seen.keys())
    assert facts(seen, "umask") == {
        run: {"all other": 0o077, "umask 077": 0o077, "umask 000": 0}.get(run, 0o022) for run in seen
    }
    assert differing(seen, "zone") == other | {"time zone"} and facts(seen, "zone")["time zone"] == 14
    assert differing(seen, "locale") == other | {"locale"}
    assert facts(seen, "locale")["locale"] == ["tr_TR.UTF-8", "tr_TR.UTF-8"]
    assert differing(seen, "hash") == other | {"hash seed"}
    assert differing(seen, "processors") <= other | {"one processor"}
    assert all(facts(seen, "processors")[run] == [1, 1] for run in other | {"one processor"})
    threads = {"one processor": 1, "16 threads": 16, "all other": 16}
    assert facts(seen, "threads") == {run: threads.get(run, 2) for run in seen}
    assert differing(seen, "listing") == other | {"listing order"}
    assert facts(seen, "listing")["plain"] == sorted(facts(seen, "listing")["plain"])
    paths = facts(seen, "path")
    assert {run for run in seen if paths[run] >= paths["plain"] + conditions.DEEP} == other | {"long path"}
    assert differing(seen, "other file system") == other | ({"other TMPDIR"} & seen.keys())
    copies = {run for run, links in facts(seen, "links").items() if not links}
    assert copies == {"copies"} | other | ({"other user"} & seen.keys())  # others do not own links to our files
    check_dates(seen)
    check_stores(seen)


def check_dates(seen):
    """Past, now and after 2038."""
    meant = {"date before FAT": conditions.EARLY, "date after 2038": conditions.LATE, "all other": conditions.LATE}
    for run, stages in seen.items():
        for clock, moment, source in (each["dates"] for each in stages):
            assert abs(clock - meant.get(run, time.time())) < 86_400, run
            assert abs(moment - clock) < 86_400, run
            assert run not in meant or source == meant[run]


def check_stores(seen):
    """Cold: the first stage finds nothing but the locked blob, and none runs twice. Warm: some do, some need not."""
    for run, stages in seen.items():
        assert stages[0]["store"], run
        names = [each["stage"] for each in stages]
        cold = [each["stage"] for each in seen["plain"]]
        if run == "warm":
            assert len(cold) < len(names) < 2 * len(cold)
        else:
            assert sorted(names) == sorted(cold), run


def test_the_names_of_runs_say_what_they_vary():
    for each in conditions.SINGLE:
        assert each.description(), each.name
        assert len(re.findall(", ", each.description())) <= 1, "one thing at a time (one processor: and one thread)"
