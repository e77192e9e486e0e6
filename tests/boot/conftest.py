"""What boots: specs/node.yml as it stands, and a node of the tests' own that differs from it in what it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.judges import alone, need, run
from tests.project import ROOT, declare, doit


@pytest.fixture(scope="session")
def node() -> Path:
    """build/node, with every format that specs/node.yml asks for."""
    doit("build:node", cwd=ROOT, NODEKILN_CACHE=str(ROOT / "cache"))
    return ROOT / "build" / "node"


@pytest.fixture(scope="session")
def derived():
    """A function: a spec derived from `base` by `change`, built in `folder` -> the folder with its results."""
    import yaml

    def make(change, folder: Path, base: Path = ROOT / "specs" / "node.yml") -> Path:
        (folder / "specs").mkdir()
        declare(folder)
        (folder / "images").symlink_to(ROOT / "images")
        spec = yaml.safe_load(base.read_text())
        change(spec)
        (folder / "specs" / "other.yml").write_text(yaml.safe_dump(spec))
        shutil.copy(ROOT / "specs" / "node.lock", folder / "specs" / "other.lock")
        doit("build:other", cwd=folder, NODEKILN_CACHE=str(ROOT / "cache"))
        return folder / "build" / "other"

    return make


@pytest.fixture
def other_node(derived, tmp_path):
    """A function: a spec derived from specs/node.yml by `change` -> the folder with its results."""
    return lambda change: derived(change, tmp_path)


@pytest.fixture(scope="session")
def key() -> Path:
    """A private ssh key; its public half is beside it. Kept, so that what is remembered of boots still fits."""
    return _kept_key("id_ed25519")


@pytest.fixture(scope="session")
def spec_key() -> Path:
    """Another one."""
    return _kept_key("id_spec")


def _kept_key(name: str) -> Path:
    from tests.formats.node import cache

    path = cache() / name
    with alone("ssh-keygen"):
        if not path.exists():
            run(need("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path)
    return path


@pytest.fixture
def answer(key, tmp_path) -> str:
    """Options of QEMU's network: somebody answers as OpenStack's metadata service would, with the key."""
    program = tmp_path / "answer"
    program.write_text(RESPONDER.format(key=key.with_suffix(".pub").read_text().strip()))
    program.chmod(0o755)
    return f",net=169.254.0.0/16,dhcpstart=169.254.1.15,guestfwd=tcp:169.254.169.254:80-cmd:{program}"


RESPONDER = """#!/bin/sh
# One HTTP request on standard input, one answer on standard output: OpenStack's metadata service.
read -r method path rest
case "$path" in
*/meta_data.json) body='{{"hostname": "kiln-http", "public_keys": {{"test": "{key}"}}}}'; status="200 OK" ;;
*) body="nothing here"; status="404 Not Found" ;;
esac
printf 'HTTP/1.0 %s\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s' "$status" "${{#body}}" "$body"
"""


@pytest.fixture(scope="session")
def config_drive(key, tmp_path_factory) -> Path:
    """An OpenStack config drive with the key: an ISO labelled config-2."""
    place = tmp_path_factory.mktemp("config-drive")
    folder = place / "drive" / "openstack" / "latest"
    folder.mkdir(parents=True)
    public = key.with_suffix(".pub").read_text().strip()
    facts = {"uuid": "11111111-2222-3333-4444-555555555555", "hostname": "kiln-1", "public_keys": {"test": public}}
    (folder / "meta_data.json").write_text(json.dumps(facts))
    (folder / "user_data").write_text("hello from the drive\n")
    image = place / "config.iso"
    words = ["-as", "mkisofs", "-quiet", "-V", "config-2", "-J", "-R", "--set_all_file_dates", "2020010100000000"]
    run(need("xorriso"), *words, "-o", image, place / "drive", env={"SOURCE_DATE_EPOCH": "1577836800"})
    return image
