"""Secure Boot: OVMF starts the signed node, and neither the unsigned one nor one with a changed byte.

The TPM of the signed node then has the registers that the manifest expects.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import formats
from pipeline.ondisk import x509
from pipeline.project import signing_keys
from pipeline.run import qemu
from pipeline.writers import efivars
from tests.boot.machine import once, running
from tests.formats import node
from tests.judges import alone, need
from tests.project import doit, signed

pytestmark = [pytest.mark.boot, pytest.mark.network]
DENIED = "Access Denied"
ENABLED = "secureboot: Secure boot enabled"


@contextmanager
def tpm(folder: Path) -> Iterator[list[str]]:
    """A TPM 2.0, which ends with its machine: words for QEMU."""
    (folder / "tpm").mkdir()
    channel = folder / "tpm" / "channel"
    state = ["--tpmstate", f"dir={folder / 'tpm'}", "--ctrl", f"type=unixio,path={channel}"]
    command = [need("swtpm"), "socket", "--tpm2", *state, "--terminate", "--daemon"]
    subprocess.run(command, check=True)  # it answers on the channel once it is in the background
    device = ["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm"]
    yield ["-chardev", f"socket,id=tpm,path={channel}", *device]


@pytest.fixture(scope="module")
def keys() -> Path:
    """Kept keys, so that what is remembered of boots still fits."""
    folder = node.cache() / "secure-boot"
    with alone("secure-boot"):
        if not (folder / "db.cer").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            signing_keys.create_all(folder, "test", ["db"])
    return folder


@pytest.fixture(scope="module")
def disks(keys, tmp_path_factory) -> dict[str, Path]:
    """A node's disk: unsigned, signed, and with a byte of the signed command line changed."""
    place = tmp_path_factory.mktemp("secure-boot")
    root = signed.project(place / "p", "raw-efi", sign="")
    spec = root / "specs" / "node.yml"
    spec.write_text(spec.read_text().replace(" quiet", ""))
    shutil.copytree(keys, root / "keys")
    result, kept = root / "build" / "node" / "node-efi.img", {}
    for name, sign in (("unsigned", ""), ("signed", signed.SIGN)):
        signed.set_sign(root, sign)
        if sign:
            doit("sign:node", cwd=root)
        doit("build:node", cwd=root)
        kept[name] = shutil.copy(result, place / f"{name}.img")
    shutil.copy(root / "build" / "node" / "manifest.json", place / "manifest.json")
    kept["manifest"] = place / "manifest.json"
    data = kept["signed"].read_bytes()
    assert data.count(node.CMDLINE.replace(b" quiet", b"") + b"\0") == 1
    kept["changed"] = place / "changed.img"
    kept["changed"].write_bytes(data.replace(b"panic=-1\0", b"panic=-2\0"))
    return kept


def console(title: str, disk: Path, keys: Path, folder: Path, sight: str) -> str:
    """Boots the copy `disk` with Secure Boot and a TPM until `sight` is on the console, which is returned."""
    need("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "ovmf")
    certificate = x509.from_file((keys / "db.cer").read_bytes()).encoding
    variables = folder / "variables"
    blank = Path(qemu.EMULATORS["amd64"].variables).read_bytes()
    variables.write_bytes(efivars.enrol(blank, certificate, certificate, certificate))
    disk = disk.rename(folder / "node-efi.img")

    def session() -> dict[str, str]:
        # -nodefaults: without an empty CD drive, from which the firmware would try, and measure, a start
        words = qemu.start(formats.find("raw-efi"), folder / "node", "amd64", enrolled=variables)
        with tpm(folder) as chip, running(folder, "-nodefaults", *words, *chip) as machine:
            machine.wait_for(sight)
            return {"console": machine.console}

    return once(f"secure boot {title}", [disk, variables], session)["console"]


def registers(manifest: Path) -> list[str]:
    """Lines that a node prints whose TPM holds what the manifest expects."""
    facts = json.loads(manifest.read_text())["formats"]["raw-efi"]["programs"]["uki"]
    return [f"PCR {number} is {value.upper()}" for number, value in sorted(facts["pcrs"].items())]


@pytest.mark.parametrize(("name", "sight"), [("signed", node.UP), ("unsigned", DENIED), ("changed", DENIED)])
def test_only_the_signed_node_starts(disks, keys, tmp_path, name, sight):
    seen = console(name, disks[name], keys, tmp_path, sight)
    assert (node.UP in seen) is (name == "signed") is (ENABLED in seen)
    assert (DENIED in seen) is (name != "signed")
    if name == "signed":
        lines = registers(disks["manifest"])
        assert len(lines) == 2 and all(line in seen for line in lines), lines


def test_the_stub_of_the_default_release_measures_what_is_expected(keys, tmp_path):
    """Debian 13's, which measures other sections than Debian 12's above."""
    root = signed.project(tmp_path / "p", "raw-efi", sign="", stub="")
    shutil.copytree(keys, root / "keys")
    signed.set_sign(root, signed.SIGN)
    doit("sign:node", cwd=root)
    doit("build:node", cwd=root)
    lines = registers(root / "build" / "node" / "manifest.json")
    seen = console("trixie", root / "build" / "node" / "node-efi.img", keys, tmp_path, node.UP)
    assert len(lines) == 2 and all(line in seen for line in lines), lines
