"""Which archive of old packages is asked."""

import pytest

from pipeline.model.errors import BadInput
from pipeline.packages import snapshot


@pytest.mark.parametrize(
    "environ, settings, expected",
    [
        ({}, "", snapshot.SERVICE),
        ({}, 'snapshot = "https://own/"', "https://own"),
        ({}, "snapshot = false", ""),
        ({snapshot.VARIABLE: "off"}, 'snapshot = "https://own/"', ""),
        ({snapshot.VARIABLE: "http://127.0.0.1:1/"}, "snapshot = false", "http://127.0.0.1:1"),
    ],
)
def test_the_environment_goes_before_the_project(tmp_path, environ, settings, expected):
    (tmp_path / "pyproject.toml").write_text(f"[tool.nodekiln]\n{settings}\n")
    assert snapshot.service("", environ, tmp_path) == expected


@pytest.mark.parametrize("value", ["yes", "ftp://x", "snapshot.debian.org"])
def test_what_is_no_url_is_refused(tmp_path, value):
    with pytest.raises(BadInput, match="is not a URL"):
        snapshot.service("", {snapshot.VARIABLE: value}, tmp_path)


def test_every_archive_may_have_its_own(tmp_path):
    own = "https://own.example/{archive}/{date}"
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.nodekiln]\nsnapshot = {{ubuntu = "{own}", debian-security = false}}\n'
    )
    archives = ("ubuntu", "debian", "debian-security", "https://packages.example.org/apt")
    assert [snapshot.service(each, {}, tmp_path) for each in archives] == [own, snapshot.SERVICE, "", ""]
