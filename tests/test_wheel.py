"""sdist and wheel: the same bytes from any build, and whole."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from tests.judges import run
from tests.project import ROOT

JUNK = shutil.ignore_patterns(".git", ".venv*", "cache", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
"""Names that .gitignore keeps out of the archives."""
LATER = 2_000_000_000
"""Time stamp of the second checkout's files, in seconds since 1970."""


def build(folder: Path, *targets: str, umask: int = 0o022) -> dict[str, bytes]:
    """Builds in `folder`; returns the archives by name."""
    words = [word for target in targets for word in ("-t", target)]
    run(sys.executable, "-m", "hatchling", "build", *words, cwd=folder, umask=umask)
    return {path.name: path.read_bytes() for path in (folder / "dist").iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Returns a copy of the checkout, and what a build there gives."""
    folder = tmp_path_factory.mktemp("first") / "checkout"
    shutil.copytree(ROOT, folder, ignore=JUNK)
    return folder, build(folder, "sdist", "wheel")


def test_time_umask_and_folder_change_no_byte(archives: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "nodekiln"
    shutil.copytree(archives[0], folder, ignore=JUNK)
    for path in folder.rglob("*"):
        os.chmod(path, path.stat().st_mode & 0o700)
        os.utime(path, (LATER, LATER))
    assert build(folder, "sdist", "wheel", umask=0o077) == archives[1]
    version = pipeline.__version__
    assert {*archives[1]} == {f"nodekiln-{version}.tar.gz", f"nodekiln-{version}-py3-none-any.whl"}


def test_the_sdist_gives_the_same_wheel(archives: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    (sdist,) = (archives[0] / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    wheels = build(folder, "wheel")
    assert wheels.items() <= archives[1].items() and len(wheels) == 1


def test_the_wheel_has_what_a_project_needs(archives: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    (wheel,) = (archives[0] / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    share = tmp_path / "pipeline" / "share"
    for name in ("images", "examples", "template"):
        assert _files(share / name) == _files(archives[0] / name) != {}
    for name in ("dodo.py", "specs/schema.json"):
        assert (share / name).read_bytes() == (ROOT / name).read_bytes()
    assert _files(tmp_path / "pipeline", ".py", skip="share/").keys() == _files(ROOT / "pipeline", ".py").keys()


def _files(folder: Path, ending: str = "", skip: str = "\0") -> dict[str, bytes]:
    """Returns the files below `folder` by path."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob(f"*{ending}") if path.is_file()}
    kept = (name for name in paths if not name.startswith(skip) and "__pycache__" not in name)
    return {name: paths[name].read_bytes() for name in kept}


@pytest.fixture(scope="module")
def installed(archives: tuple[Path, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of programs of a fresh environment with the wheel, and with the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    (wheel,) = (archives[0] / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    run(sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--no-deps", "--no-index", wheel)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


@pytest.fixture
def nodekiln(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the installed command in a folder outside the checkout, and returns what it prints."""
    for name in [name for name in os.environ if name.startswith(("NODEKILN_", "PYTHON")) and "CACHE" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*words: str, cwd: str = "edge") -> str:
        done = run(installed / "nodekiln", *words, cwd=cwd)
        return done.stdout + done.stderr

    return call


SMALL = "files: [{path: etc/motd, contents: hello}]\nbuild: {formats: [docker, tar], arch: amd64}\n"


def test_a_project_made_by_the_installed_wheel(nodekiln: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    assert "in edge: `nodekiln build:node` builds" in nodekiln("init", "edge", cwd=".")
    Path("edge/specs/small.yml").write_text(SMALL)
    listed = nodekiln("list")
    assert "build:node    qcow2-bios, kernel+initrd of specs/node.yml" in listed and "build:small" in listed
    assert nodekiln("check", "--alone").endswith(": right, 0 warnings\n")
    assert "6 ran" in nodekiln("build:small") and Path("edge/build/small/small.tar").exists()
    assert "copied to images/sshd: " in nodekiln("image:sshd", "--copy")
    assert nodekiln("check:node", "--alone") == "specs/node.yml: right, 0 warnings\n"


@pytest.mark.network
@pytest.mark.slow
def test_the_project_made_by_the_installed_wheel_builds(nodekiln: Callable[..., str]) -> None:
    nodekiln("init", "edge", cwd=".")
    assert "names locked" in nodekiln("lock")
    assert "specs/node.yml: right, 0 warnings" in nodekiln("check")
    assert " ran, " in nodekiln("build")
    assert {"node.qcow2", "node-initrd.img", "SHA256SUMS"} <= {*os.listdir("edge/build/node")}
