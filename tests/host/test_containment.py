"""Host paths that a spec names stay inside the project."""

import pytest

from pipeline.host import containment


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "project/inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "project/link").symlink_to("../outside")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv(containment.VARIABLE, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "name, expected",
    [("inner/file", False), ("inner/../x", False), ("../outside/x", True), ("link/x", True), ("/etc/passwd", True)],
)
def test_what_leads_out_of_the_project_escapes(project, name, expected):
    assert containment.escapes(project / "project" / name) is expected


def test_another_folder_may_be_a_home(project):
    assert not containment.escapes(project / "outside/x", project / "outside")


def test_the_environment_allows_all(project, monkeypatch):
    monkeypatch.setenv(containment.VARIABLE, "1")
    assert not containment.escapes(project / "outside")


@pytest.mark.parametrize("text", ["~/.ssh/id_rsa", "~/.ssh/../x.pub", "~/.sshx/a.pub", "/root/.ssh/a.pub"])
def test_only_public_keys_of_the_user_are_public(text):
    assert not containment.PUBLIC_KEY.fullmatch(text)
    assert containment.PUBLIC_KEY.fullmatch("~/.ssh/id_ed25519.pub")
