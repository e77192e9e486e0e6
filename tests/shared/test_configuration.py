"""Configuration of the shared cache: the environment first, then pyproject.toml; what is wrong in one line."""

import os
import subprocess
import sys

import pytest

from pipeline.model.errors import BadInput
from pipeline.shared import configuration
from pipeline.shared.client import SharedCache
from pipeline.store.beyond import Beyond
from tests.shared.machines import key_file, trust


def test_the_environment_goes_before_the_project(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.nodekiln]\nshared = ["https://a", "/b"]\ntrust = ["{trust("ci")}"]\nshared-wait = 7\n'
    )
    found = configuration.settings(tmp_path, {})
    assert (found.caches, found.trust, found.wait, found.timeout) == (("https://a", "/b"), (trust("ci"),), 7, 5)
    assert not found.push and not found.everything and not found.sign
    found = configuration.settings(
        tmp_path, {"NODEKILN_SHARED": "http://c", "NODEKILN_SHARED_WAIT": "2", "NODEKILN_SHARED_PUSH": "1"}
    )
    assert (found.caches, found.wait, found.push, found.trust) == (("http://c",), 2, True, (trust("ci"),))
    assert configuration.settings(tmp_path, {"NODEKILN_SHARED": ""}).caches == ()
    assert configuration.settings(tmp_path, {"NODEKILN_SHARED": "0"}).caches == ()


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Returns the cache of an environment."""

    def beyond(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"NODEKILN_{name}", value)
        return configuration.beyond(tmp_path)

    return beyond


def test_nothing_configured_is_nothing_beyond(configured):
    assert type(configured()) is Beyond


def test_offline_only_folders_are_left(configured, tmp_path):
    urls = {"SHARED": f"http://127.0.0.1:1 {tmp_path}", "TRUST": trust("ci")}
    assert len(configured(**urls).caches) == 2
    (cache,) = configured(OFFLINE="1").caches
    assert cache.wire.address == str(tmp_path)
    assert type(configured(SHARED="http://127.0.0.1:1")) is Beyond


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"SHARED": "ftp://host"}, "no wire ftp: use file, "),
        ({"SHARED": "client://host"}, "no wire client"),
        ({"SHARED": "http://host/x?y=1"}, "http://host/x"),
        ({"SHARED": "http://host", "TRUST": "ci"}, "'ci' is not a trusted key"),
        ({"SHARED": "http://host", "SHARED_WAIT": "soon"}, "NODEKILN_SHARED_WAIT: 'soon' is not a number"),
        ({"SHARED": "http://host", "SHARED_AUDIT": "2"}, "NODEKILN_SHARED_AUDIT: '2' is not a number from 0 to 1"),
        ({"SHARED": "http://host", "SHARED_PUSH": "1"}, "pushing takes a private key: set NODEKILN_SIGN"),
        ({"SHARED": "http://host", "SIGN": "/nowhere.key"}, "NODEKILN_SIGN: /nowhere.key: No such file"),
        ({"SHARED": "http://host", "SIGN": "/etc/hostname"}, "not a private key in PEM"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(configured, variables, text):
    with pytest.raises(BadInput) as error:
        configured(TRUST=trust("ci"), **variables) if "TRUST" not in variables else configured(**variables)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_password_is_in_no_message(configured):
    for url in ("http://user:secret@host/a", "http://user:secret@host/x?y=1", "ftp://user:secret@host"):
        try:
            shown = configured(SHARED=url, TRUST=trust("ci")).caches[0].wire.address
        except BadInput as error:
            shown = str(error)
        assert "secret" not in shown


def test_a_list_in_pyproject_is_a_list(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.nodekiln]\nshared = "https://a"\n')
    with pytest.raises(BadInput, match=r"pyproject.toml: \[tool.nodekiln\] shared must be a list"):
        configuration.settings(tmp_path, {})


def test_without_a_trusted_key_nothing_is_asked(configured, capsys):
    assert type(configured(SHARED="http://host")) is Beyond
    assert "no key is trusted: set NODEKILN_TRUST" in capsys.readouterr().err


def test_a_folder_of_ones_own_needs_no_key_and_one_that_others_write_does(configured, tmp_path, capsys):
    folder = tmp_path / "own"
    folder.mkdir(mode=0o755)
    beyond = configured(SHARED=str(folder), SHARED_PUSH="1")
    assert isinstance(beyond, SharedCache) and beyond.caches[0].pushes
    folder.chmod(0o775)
    with pytest.raises(BadInput, match="private key"):
        configured()
    assert type(configured(SHARED_PUSH="0")) is Beyond
    assert "no key is trusted" in capsys.readouterr().err


def test_the_signer_has_the_name_under_which_its_key_is_trusted(configured, tmp_path):
    file = key_file(tmp_path, "ci")
    file.rename(tmp_path / "other.key")
    beyond = configured(SHARED="http://host", SIGN=str(tmp_path / "other.key"), SHARED_PUSH="1")
    assert list(beyond.sign(b"")) == ["other"]
    beyond = configured(TRUST=trust("ci"))
    assert list(beyond.sign(b"")) == ["ci"]
    key_file(tmp_path, "mallory").rename(tmp_path / "ci.key")
    with pytest.raises(BadInput, match="ci is another key"):
        configured(SIGN=str(tmp_path / "ci.key"))


def test_a_store_that_lacks_nothing_imports_and_opens_nothing(tmp_path):
    """An audit hook sees each import and each socket (PEP 578)."""
    program = """
import sys
from pathlib import Path
from pipeline.project.project import Project
from pipeline.store import Store
digest = Store(Path("cache")).put(b"result")
Store(Path("cache")).remember("ab" * 32, digest)
store, seen = Project(Path.cwd()).store, set()
sys.addaudithook(lambda event, arguments: seen.add(arguments[0] if event == "import" else event))
before = set(sys.modules)
assert store.put(b"result") == digest
assert store.recall("ab" * 32, dict) == digest and store.has(digest) and store.size(digest) == 6
store.finish()
loaded = set(sys.modules) - before
assert not any(name.startswith(("pipeline.shared", "http", "ssl", "socket", "cryptography")) for name in loaded), loaded
assert not any(event.startswith("socket") for event in seen), seen
"""
    environment = os.environ | {"NODEKILN_SHARED": "http://127.0.0.1:1", "NODEKILN_TRUST": trust("ci")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
