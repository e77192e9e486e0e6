"""Every condition reaches the process that builds: what its stages see of the world is what the table says."""

import json
import re
import time

import pytest

from pipeline.engine.action import closure
from pipeline.inspect import conditions
from pipeline.planning.load import load
from pipeline.planning.lock import Lock
from pipeline.planning.plan import plan
from pipeline.store import Store
from tests.inspect.conftest import ARCH
from tests.project import ROOT

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
    text = (ROOT / "tests/inspect/watch.py").read_text()
    (project / "pipeline/watch.py").write_text(text.replace('"", ""', repr((str(folder), blob.hex))[1:-1]))
    for module, name in stages(project):
        with (project / f"{module.replace('.', '/')}.py").open("a") as file:
            file.write(f"\n\nfrom pipeline.watch import watched\n\n{name} = watched({name})\n")
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


def stages(project):
    """Module and name of every stage of the project's node."""
    made = plan(load(project / "specs/node.yml"), Lock({}), ARCH).format("kernel+initrd")
    return {(action.stage.__module__, action.stage.__name__) for action in closure(made)}


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
        assert stages[0]["only the locked blob"], run
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
