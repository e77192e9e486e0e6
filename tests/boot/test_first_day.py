"""Anyone's first day: the tutorial, word for word, on Debian 12, Debian 13 and a machine without apt, from the wheel.

The node has the same bytes on all of them. Nodes out of both of Debian's releases boot and take an ssh login.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests import patience
from tests.boot import fresh_root
from tests.boot.fresh_root import FreshRoot
from tests.boot.machine import once, running
from tests.docs import pages
from tests.judges import needs_root, run
from tests.project import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.boot, needs_root]

TUTORIAL = ROOT / "docs/tutorial/first-node.md"
EXIT_CODE = re.compile(r"\s+# exit code (\d+)$")
RELEASES = ("bookworm", "trixie")
MACHINES = {"Debian 12": ("bookworm", False), "Debian 13": ("trixie", False), "without apt": ("trixie", True)}
"""Name -> suite of the root, and whether apt and dpkg are removed."""
BOTH = [
    *(f"sed 's/^build:/build:\\n  release: {name}/' specs/node.yml >specs/{name}.yml" for name in RELEASES),
    *(f"nodekiln build:{name}" for name in RELEASES),
]
"""Commands that build the node out of each of Debian's releases."""
DAY_SECONDS = 900
"""Longest day, in seconds of a quiet machine."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def script(wheel: str) -> list[str]:
    """Returns the tutorial as lines of a shell script; packages are installed from `wheel` and the index."""
    lines = []
    for step in pages.steps(TUTORIAL):
        if isinstance(step, pages.OwnFile):
            lines.append(fresh_root.file(step.path, step.text))
        elif not step.reason or "wheel" in step.reason:
            code = EXIT_CODE.search(step.text)
            text = EXIT_CODE.sub("", step.text).replace("pip install nodekiln", f"pip install {wheel}")
            lines.append(fresh_root.shell(text, int(code[1]) if code else 0))
    return lines


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> dict[str, Path]:
    """The folder build/ of a project on each machine."""
    results = {}
    for name, (suite, bare) in MACHINES.items():
        place = tmp_path_factory.mktemp("root")
        root = FreshRoot(place, suite, bare)
        shutil.copy(wheel, root.home)
        lines = [*script(wheel.name), *(BOTH if name == "Debian 13" else [])]
        variables = {"NODEKILN_PACKAGES": fresh_root.packages()} if bare else {}
        root.run("\n".join(lines), patience.seconds(DAY_SECONDS), **variables)
        (project,) = (path.parent for path in root.home.glob("*/specs"))
        results[name] = (project / "build").rename(place / "build")
        shutil.rmtree(root.upper)
    return results


def test_every_machine_gives_the_same_bytes(days: dict[str, Path]) -> None:
    for folder in ("before", "node"):
        sums = {name: (build / folder / "SHA256SUMS").read_text() for name, build in days.items()}
        assert len(set(sums.values())) == 1, sums
    before, node = (next(iter(days.values())) / folder / "SHA256SUMS" for folder in ("before", "node"))
    assert before.read_text() != node.read_text()


@pytest.mark.parametrize("release", RELEASES)
def test_the_node_boots_and_takes_a_login(
    days: dict[str, Path], release: str, config_drive: Path, key: Path, tmp_path: Path
) -> None:
    disk = days["Debian 13"] / release / f"{release}.qcow2"

    def session() -> dict[str, str]:
        drives = [f"file={disk},format=qcow2,if=virtio,snapshot=on"]
        drives += [f"file={config_drive},format=raw,if=virtio,readonly=on"]
        with running(tmp_path, "-drive", drives[0], "-drive", drives[1]) as machine:
            machine.wait_for("services are up")
            machine.wait_for_ssh()
            return {"user": machine.ssh(key, "id -un"), "kernel": machine.ssh(key, "uname -r")}

    seen = once(f"first day {release}", [disk, config_drive], session)
    assert seen["user"] == "root\n" and re.match(r"\d+\.\d+\.", seen["kernel"])
