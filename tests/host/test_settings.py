"""Settings of a project are a table of its pyproject.toml."""

from pipeline.host.settings import project_settings


def test_the_table_is_read_and_may_be_missing(tmp_path):
    assert project_settings(tmp_path) == {}
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert project_settings(tmp_path) == {}
    (tmp_path / "pyproject.toml").write_text("[tool.nodekiln]\nmirror = ['a=b']\n")
    assert project_settings(tmp_path) == {"mirror": ["a=b"]}
