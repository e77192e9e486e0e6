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


@pytest.mark.parametrize(("name", "sight"), [("signed", node.UP), ("unsigned", DENIED), ("changed", DENIED)])
def test_only_the_signed_node_starts(disks, keys, tmp_path, name, sight):
    need("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "ovmf")
    certificate = x509.from_file((keys / "db.cer").read_bytes()).encoding
    variables = tmp_path / "variables"
    blank = Path(qemu.EMULATORS["amd64"].variables).read_bytes()
    variables.write_bytes(efivars.enrol(blank, certificate, certificate, certificate))
    disk = disks[name].rename(tmp_path / "node-efi.img")

    def session() -> dict[str, str]:
        # -nodefaults: without an empty CD drive, from which the firmware would try, and measure, a start
        words = qemu.start(formats.find("raw-efi"), tmp_path / "node", "amd64", enrolled=variables)
        with tpm(tmp_path) as chip, running(tmp_path, "-nodefaults", *words, *chip) as machine:
            machine.wait_for(sight)
            return {"console": machine.console}

    console = once(f"secure boot {name}", [disk, variables], session)["console"]
    assert (node.UP in console) is (name == "signed") is (ENABLED in console)
    assert (DENIED in console) is (name != "signed")
    if name == "signed":
        facts = json.loads(disks["manifest"].read_text())["formats"]["raw-efi"]["programs"]["uki"]
        for number, value in facts["pcrs"].items():
            assert f"PCR {number} is {value.upper()}" in console
