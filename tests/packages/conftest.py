from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.host import containment
from pipeline.oci import http
from pipeline.packages import mirrors, state
from tests.packages.repository import Repository


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test asks Debian's archive of old packages, and what one test met or kept the next does not."""
    monkeypatch.setenv("NODEKILN_SNAPSHOT", "off")
    monkeypatch.setenv(containment.VARIABLE, "1")  # archives lie beside the projects
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    http.silent.clear()
    state.state_folder.cache_clear()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, a project."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the setting for mirrors: URLs of the folders above `debian`."""
    return lambda *urls: monkeypatch.setenv(mirrors.VARIABLE, ",".join(urls))


@pytest.fixture
def distribution(tmp_path: Path) -> Repository:
    """A small distribution."""
    repository = Repository(tmp_path / "debian")
    repository.add("libc", {"lib/libc.so.6": "the library"}, Essential="yes")
    repository.add("libtool", {"usr/lib/libtool.so": "more"}, Depends="libc (>= 1.0)")
    repository.add(
        "tool",
        {"usr/bin/tool": "#!", "usr/share/man/tool.1": ""},
        version="2:1.5+b1~x",
        Depends="libtool",
        Recommends="extra",
    )
    repository.add("extra", {"usr/bin/extra": ""}, Depends="missing")
    repository.add("either", Depends="gone | libc")
    repository.add("broken", Depends="libc (>= 7)")
    repository.add("must-have", Essential="yes")
    repository.add("data", arch="all", Pre_Depends="libc")
    for name in ("libc", "tool"):
        repository.add(name, {f"usr/share/{name}": "arm"}, arch="arm64", version="1.1")
    return repository
