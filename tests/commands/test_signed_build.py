"""What a locked build of signed images asks of the system, with strace as the judge: files alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judges import need
from tests.project import ROOT, doit, new_project
from tests.trust import signing
from tests.trust.signing import Key

BUILD = ("-m", "doit", "build:node")
IMAGES = 20
CALL = re.compile(r"\d+ +(\w+)\(")
"""A line of strace: the process, and the name of the call."""
RULES = """\
default: reject
rules:
  - {match: ["oci:layout"], signers: [{cosign: release.pub}]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose images lie in a layout, all signed by release.pub, that is locked and not built."""
    images = [f"oci:layout:{number}" for number in range(IMAGES)]
    root = new_project(tmp_path, node=f"init: {images}\nbuild: {{formats: [tar], arch: amd64}}\n".replace("'", '"'))
    monkeypatch.chdir(root)
    monkeypatch.setenv("NODEKILN_CACHE", str(root / "cache"))
    key = Key()
    Path("release.pub").write_text(key.pem)
    for number in range(IMAGES):
        index, _ = signing.image(root / "layout", str(number), content=f"x{number}")
        signing.sign(root / "layout", index, key.bundle(index))


def traced(*program: str) -> list[str]:
    """Runs Python, and returns the system calls of all its processes that open files or are about sockets."""
    log = Path("trace")
    words = [need("strace"), "-f", "-qq", "-o", log, "-e", "trace=%network,open,openat"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NODEKILN_LOCKED": "1"}
    done = subprocess.run([*words, sys.executable, *program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return log.read_text().splitlines()


def sockets(calls: list[str]) -> list[str]:
    return [call for call in calls if (match := CALL.match(call)) and match[1] not in ("open", "openat")]


def is_cryptography_read(calls: list[str]) -> bool:
    return any("/cryptography/" in call for call in calls)


@pytest.mark.usefixtures("project")
def test_a_locked_build_of_signed_images_opens_no_socket() -> None:
    """Cold: everything is verified and made. Then nothing is verified again."""
    Path("specs/trust.yml").write_text(RULES)
    doit("lock")
    images = json.loads(Path("specs/node.lock").read_text())["images"]
    assert sum(len(image["signatures"]) for image in images.values()) == IMAGES
    shutil.rmtree("cache", ignore_errors=True)
    calls = traced(*BUILD)
    assert sockets(calls) == [] and is_cryptography_read(calls) and Path("build/node/node.tar").exists()
    again = traced(*BUILD)
    assert sockets(again) == [] and not is_cryptography_read(again)


@pytest.mark.usefixtures("project")
def test_a_build_without_rules_does_not_import_cryptography() -> None:
    doit("lock")
    calls = traced(*BUILD)
    assert sockets(calls) == [] and not is_cryptography_read(calls) and Path("build/node/node.tar").exists()


@pytest.mark.usefixtures("project")
def test_the_judge_sees_sockets_and_imports() -> None:
    calls = sockets(traced("-c", "import socket; socket.socket()"))
    assert "socket(AF_INET" in calls[0]
    assert is_cryptography_read(traced("-c", "import cryptography.hazmat.primitives.hashes"))
