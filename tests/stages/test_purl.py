"""Package URLs, by packageurl-python, which reads them back."""

from __future__ import annotations

import json
import subprocess

import pytest

from pipeline.model.origins import MADE, Origin
from pipeline.stages.purl import purl
from tests.judges import python_with

DEB = Origin("deb", "libstdc++6", "1:12.2~rc1+x-1", "amd64", distribution="debian", release="trixie", source="gcc-12",
             source_version="12.2")  # fmt: skip
READ = """
import json, sys
from packageurl import PackageURL
print(json.dumps([PackageURL.from_string(each).to_dict() for each in sys.argv[1:]]))
"""
CASES = {
    "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2~rc1%2Bx-1?arch=amd64&distro=debian-trixie&upstream=gcc-12%4012.2": DEB,
    "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20": Origin(
        "apk", "musl", "1.2.5-r0", "x86_64", distribution="alpine", release="3.20", source="musl",
        source_version="1.2.5-r0",
    ),
    "pkg:generic/nodekiln/sshd@0123": Origin("recipe", "nodekiln/sshd", "0123"),
    "pkg:oci/nginx?repository_url=docker.io/library/nginx&tag=1.27": Origin("image", "docker.io/library/nginx:1.27"),
    "pkg:oci/a@sha256%3Aab?repository_url=localhost%3A5000/b/a": Origin("image", "localhost:5000/b/a@sha256:ab"),
}  # fmt: skip


@pytest.mark.parametrize("url", CASES)
def test_purl(url: str) -> None:
    assert purl(CASES[url]) == url


def test_what_nobody_packages_has_none() -> None:
    assert purl(MADE) == purl(Origin("files", "node")) == ""


def test_others_read_them() -> None:
    command = [python_with("packageurl-python==0.17.6"), "-c", READ, *CASES]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [(each["name"], each["version"]) for each in found[:3]] == [
        (origin.name.rpartition("/")[2], origin.version) for origin in [*CASES.values()][:3]
    ]
    assert found[0]["qualifiers"] == {"arch": "amd64", "distro": "debian-trixie", "upstream": "gcc-12@12.2"}
