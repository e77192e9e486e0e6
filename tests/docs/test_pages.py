"""The pages of the manual, followed literally: a project of the files of a page, and its `$ ` commands run in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs import pages
from tests.oci import craft
from tests.programs.craft import program
from tests.project import ROOT

PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if any(pages.commands(path))]
EXIT_CODE = re.compile(r" +# exit code (\d+)$")
"""Comment behind a command that does not end with 0."""
RECIPES = "@pkg:images/"
HUB_IMAGE = "docker.io/library/busybox:1.37"
"""The image of the Docker Hub that the pages use. A layout has one of its name here, whose programs do nothing."""


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout in place of the Docker Hub."""
    layout = tmp_path_factory.mktemp("hub") / "layout"
    layer = craft.archive(
        *(craft.entry(f"bin/{name}", data=program(interpreter=""), mode=0o755) for name in ("busybox", "httpd", "sh"))
    )
    craft.image(layout, [layer], name=HUB_IMAGE, config={"config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]}})
    return layout


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all pages that need no packages."""
    return tmp_path_factory.mktemp("cache")


def files(page: Path) -> dict[str, str]:
    """Returns the files of a page by their paths."""
    return {step.path: step.text for step in pages.steps(page) if isinstance(step, pages.OwnFile)}


def takes_packages(page: Path) -> bool:
    """Returns True if what a page builds is made of packages."""
    return any(RECIPES in text for text in files(page).values()) or makes_a_project(page)


def makes_a_project(page: Path) -> bool:
    return any(command.text.startswith("nodekiln init") for command in pages.commands(page))


def marked(page: Path) -> Any:
    marks = [pytest.mark.network] if takes_packages(page) else []
    return pytest.param(page, id=str(page.relative_to(ROOT / "docs")), marks=marks)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_a_page_works(page: Path, tmp_path: Path, hub: Path, cache: Path, request: pytest.FixtureRequest) -> None:
    place, host, own = tmp_path, "", {"NODEKILN_MIRROR": f"docker.io=oci:{hub}"}
    if not files(page):  # it goes on with a project that is there
        place, host, own = request.getfixturevalue("project"), request.getfixturevalue("registry"), {}
        cache = place / "cache"
    elif makes_a_project(page):  # its results are new each time, its packages are not
        cache = tmp_path / "cache"
        shutil.copytree(ROOT / "cache/blobs", cache / "blobs", copy_function=os.link)
    elif takes_packages(page):
        cache = ROOT / "cache"
    for step in pages.steps(page):
        if isinstance(step, pages.OwnFile):
            (place / step.path).parent.mkdir(exist_ok=True, parents=True)
            (place / step.path).write_text(step.text, encoding="utf-8")
        elif step.text.startswith("cd "):
            place /= step.text.removeprefix("cd ")
        elif not step.reason:
            follow(step, place, host, NODEKILN_CACHE=str(cache), **own)


def follow(command: pages.Command, place: Path, registry: str, **environment: str) -> None:
    """Runs a command in the project at `place`, and compares its exit code and output with the page."""
    expected = EXIT_CODE.search(command.text)
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-ec", command.text.replace("registry.example", registry)], cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": programs, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    output = ended.stdout + ended.stderr
    assert ended.returncode == int(expected[1] if expected else 0), f"{command.text}\n{output}"
    assert [line for line in command.prints if not pages.is_printed(line, output)] == [], f"{command.text}\n{output}"


def test_a_page_with_other_output_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("`a.yml`:\n\n```yaml\nx: 1\n```\n\n```console\n$ cat a.yml\nx: …\n$ true\n```\n")
    own, shown, _ = pages.steps(tmp_path / "page.md")
    assert own == pages.OwnFile("a.yml", "x: 1\n")
    assert isinstance(shown, pages.Command) and pages.is_printed(shown.prints[0], "x: 1\n")
    assert not pages.is_printed(shown.prints[0], "y: 1\n")


def test_what_does_not_run_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the commands that no test runs, with the reason of each."""
    left_out = [(page, step) for page in PAGES for step in pages.commands(page) if step.reason]
    with capsys.disabled():
        for page, step in left_out:
            print(f"\nnot run: {page.relative_to(ROOT)}: {step.text} ({step.reason})", end="")
    assert len(left_out) * 3 <= sum(1 for page in PAGES for _ in pages.commands(page))
