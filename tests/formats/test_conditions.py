"""Every format comes out the same under whatever conditions it is built."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.project import ROOT

NOBODY = 65534
CONDITIONS = {
    "another time zone and locale": {"TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8"},
    "no locale": {"LC_ALL": "C", "LANG": "", "PYTHONUTF8": "0", "TZ": "America/St_Johns"},
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed 2": {"PYTHONHASHSEED": "2"},
    "another user's environment": {"USER": "somebody", "LOGNAME": "somebody", "HOSTNAME": "elsewhere"},
    "umask 077": {"umask": "077"},
    "one processor": {"cpus": "0"},
    "a long path": {"path": "x" * 200},
    "another user": {"uid": str(NOBODY)},
}


def build(folder, condition):
    """The digests of everything, built in `folder` under `condition`: variables of the environment, and settings."""
    settings = dict(condition)
    umask = int(settings.pop("umask", "022"), 8)
    cpus = settings.pop("cpus", "")
    uid = settings.pop("uid", "")
    place = folder / settings.pop("path", "store")
    place.mkdir()

    def enter() -> None:
        os.umask(umask)
        if cpus:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-m", "tests.formats.everything", str(place), *([uid] if uid else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, preexec_fn=enter)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build(tmp_path_factory.mktemp("plain"), {})


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_format_is_the_same_under(plain, condition):
    settings = CONDITIONS[condition]
    if "uid" in settings and os.getuid():
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        found = build(Path(folder), settings)
    assert {name for name in plain if plain[name] != found.get(name)} == set()
    assert found.keys() == plain.keys()
