"""What a rebuild's process takes for real: the clock, the processors, the order of directories."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.inspect import conditions
from tests.project import ROOT

DATES = """\
import json, time, datetime as dt
from datetime import date, datetime
import os, calendar
moments = [
    time.time(), time.time_ns() / 1e9, calendar.timegm(time.gmtime()), time.mktime(time.localtime()),
    datetime.now().timestamp(), datetime.now(dt.UTC).timestamp(), dt.datetime.today().timestamp(),
    dt.datetime.utcnow().replace(tzinfo=dt.UTC).timestamp(),
    calendar.timegm(time.strptime(time.strftime("%Y-%m-%d"), "%Y-%m-%d")),
    calendar.timegm(time.strptime(time.ctime())), calendar.timegm(time.strptime(time.asctime())),
    calendar.timegm(dt.date.today().timetuple()), calendar.timegm(date.today().timetuple()),
]
given = [time.gmtime(0).tm_year, time.strftime("%Y", time.gmtime(0)), datetime(2000, 1, 1).year]
print(json.dumps([moments, given]))
"""


def process(code, environment=None):
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env={"TZ": "UTC0", **(environment or {})}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("now", [conditions.EARLY, conditions.LATE])
def test_all_clocks_of_python_agree_on_the_pretended_date(now):
    setup = f"from pipeline.inspect.rebuild import pretend_now; pretend_now({now})\n"
    moments, given = process(setup + DATES)
    assert all(-86_400 < moment - now < 60 for moment in moments)
    assert given == [1970, "1970", 2000]


def listed(seed, folder):
    code = f"""
from pipeline.inspect.rebuild import shuffle_listings
shuffle_listings({seed})
import glob, json, os, pathlib, shutil
path = {str(folder)!r}
print(json.dumps([
    os.listdir(path), [e.name for e in os.scandir(path)], [p.name for p in pathlib.Path(path).iterdir()],
    [p.name for p in pathlib.Path(path).glob("*")], next(os.walk(path))[2],
    [os.path.basename(p) for p in glob.glob(path + "/*")],
]))
"""
    return process(code)


def test_every_way_to_list_a_directory_is_shuffled(tmp_path):
    names = [f"{number:02}" for number in range(40)]
    for name in names:
        (tmp_path / name).touch()
    assert all(found == names for found in listed(0, tmp_path))
    first, second = listed(1, tmp_path), listed(2, tmp_path)
    for one, other in zip(first, second, strict=True):
        assert names not in (one, other) and one != other
        assert sorted(one) == sorted(other) == names


def test_processors():
    code = """
from pipeline.inspect.rebuild import pretend_processors
pretend_processors(1)
import json, os
print(json.dumps([os.cpu_count(), len(os.sched_getaffinity(0))]))
"""
    assert process(code) == [1, 1]


def test_conditions_say_what_they_change():
    assert conditions.PLAIN.description() == ""
    assert conditions.Conditions("x", umask=0, hard_links=False, now=conditions.LATE).description() == (
        "umask 000, 2040-01-01, no hard links"
    )
    assert [each.name for each in conditions.select(1, False)] == ["plain", "all other"]
    assert len(conditions.select(5, False)) == 5
    names = [each.name for each in conditions.select(0, True)]
    assert len(names) == len(set(names)) == 17


def test_what_cannot_be_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda tool: None)
    monkeypatch.setattr(conditions, "SHARED_MEMORY", Path("/nowhere"))
    used, command, said = conditions.adapt(conditions.OTHER, [])
    assert (used.other_user, used.shared_memory, command) == (False, False, [])
    assert "setpriv" in said or "unshare" in said
    assert "no /nowhere" in said
    assert used.umask == conditions.OTHER.umask
