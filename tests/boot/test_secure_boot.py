"""Secure Boot and a verified root: firmware starts the signed node, and a changed one neither starts nor comes up.

The TPM of the signed node has the registers that the manifest expects.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.ondisk import authenticode, x509
from pipeline.planning.signing import Signer
from pipeline.project import signing_keys
from pipeline.readers.authenticode import image_hash
from pipeline.readers.view import BytesView
from pipeline.stages import initrd
from pipeline.store import Store
from pipeline.writers.verity import BLOCK
from tests.boot.machine import free_port, once, started
from tests.boot.secure_boot import DENIED, ENABLED, console, kept_keys
from tests.boot.tampering import BOOT, ROOT, TREE, Disk
from tests.formats import node
from tests.project import ROOT as REPOSITORY
from tests.project import doit, signed

pytestmark = [pytest.mark.boot, pytest.mark.network]
LOCKED = "lockdown is none [integrity] confidentiality"
VERIFIED = "is the root file system (erofs, ro, verified, panic)"
CORRUPTED = "Kernel panic - not syncing: dm-verity device corrupted"
NOTHING_TO_BOOT = "No bootable option or device was found"


class Node(NamedTuple):
    """Disks of a node: signed, unsigned, and signed with another root. registers: what its TPM should hold."""

    signed: Path
    unsigned: Path
    other: Path
    registers: list[str]


def registers(manifest: Path, name: str, program: str) -> list[str]:
    """Lines that a node prints whose TPM holds what the manifest expects."""
    facts = json.loads(manifest.read_text())["formats"][name]["programs"][program]
    lines = [f"PCR {number} is {value.upper()}" for number, value in sorted(facts["pcrs"].items())]
    assert len(lines) == 3
    return lines


def signed_project(root: Path, name: str, **options: object) -> Path:
    """A project whose node is built in the format `name`, signed. Its kernel is not quiet."""
    signed.project(root, name, sign="", **options)
    spec = root / "specs" / "node.yml"
    spec.write_text(spec.read_text().replace(" quiet", ""))
    shutil.copytree(kept_keys(), root / "keys")
    signed.set_sign(root, signed.SIGN)
    doit("sign:node", cwd=root)
    doit("build:node", cwd=root)
    return root


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Node:
    place = tmp_path_factory.mktemp("secure-boot")
    root = signed_project(place / "p", "verity-efi", modules=(*node.DISKS, "dm_verity"))
    spec, results, disks = root / "specs" / "node.yml", root / "build" / "node", {}
    expected = registers(results / "manifest.json", "verity-efi", "verity-efi")

    def keep(name):
        disks[name] = shutil.copy(results / "node-verity-efi.img", place / f"{name}.img")

    keep("signed")
    signed.set_sign(root, "")
    doit("build:node", cwd=root)
    keep("unsigned")
    spec.write_text(spec.read_text() + "files:\n  - {path: etc/version, contents: other}\n")
    doit("build:node", cwd=root)
    keep("other")
    return Node(**disks, registers=expected)


def assert_up(seen: str, expected: list[str]) -> None:
    assert [text for text in (ENABLED, LOCKED, VERIFIED, *expected) if text not in seen] == [], seen


def test_the_signed_node_starts_locked_down_from_a_verified_root(built, tmp_path):
    assert_up(console(shutil.copy(built.signed, tmp_path / "disk"), "verity-efi", node.UP), built.registers)


def test_what_has_a_copy_or_is_not_read_may_change(built, tmp_path):
    """The truth about a byte of the partition table's first header, and of the hash tree's superblock.

    Firmware repairs the table from its copy; size, salt and algorithm of the tree are on the signed command line.
    """
    disk = Disk(built.signed)
    disk.flip(disk.headers()[0] + 24)
    disk.flip_in(TREE, 100)
    assert_up(console(disk.write(tmp_path / "disk"), "verity-efi", node.UP), built.registers)


def unsigned(disk: Disk, built: Node) -> None:
    disk.take(Disk(built.unsigned), BOOT)


def program(disk: Disk, _: Node) -> None:
    """A byte of the kernel."""
    (kernel,) = (node.kernel_package() / "boot").glob("vmlinuz-*")
    disk.flip_where(BOOT, kernel.read_bytes()[1 << 20 : (1 << 20) + 64])


def command_line(disk: Disk, _: Node) -> None:
    disk.flip_where(BOOT, b"panic=-1 root=")


def root(disk: Disk, _: Node) -> None:
    """The first byte of what the node runs."""
    disk.flip_where(ROOT, b"#!/bin/busybox sh\n")


def hash_tree(disk: Disk, _: Node) -> None:
    disk.flip_in(TREE, BLOCK)


def other_root(disk: Disk, built: Node) -> None:
    """Another version's, with its hash tree."""
    disk.take(Disk(built.other), ROOT, TREE)


def both_headers(disk: Disk, _: Node) -> None:
    """Of the partition table, and of its copy."""
    for place in disk.headers():
        disk.flip(place + 24)


def entry(disk: Disk, _: Node) -> None:
    """The root's, in the partition table and its copy, both with right check sums: it starts a block later."""
    disk.move(ROOT, 8)


@pytest.mark.parametrize(("change", "sight"), [
    (unsigned, DENIED), (program, DENIED), (command_line, DENIED), (root, CORRUPTED), (hash_tree, CORRUPTED),
    (other_root, CORRUPTED), (both_headers, NOTHING_TO_BOOT), (entry, CORRUPTED),
])  # fmt: skip
def test_a_changed_node_does_not_come_up(built, tmp_path, change, sight):
    disk = Disk(built.signed)
    change(disk, built)
    seen = console(disk.write(tmp_path / "disk"), "verity-efi", sight)
    assert sight in seen and node.UP not in seen
    assert (ENABLED in seen) is (sight == CORRUPTED), "what is signed has started, and nothing else"


def test_a_machine_of_doit_run_holds_what_is_expected(tmp_path):
    """With the stub of Debian 13, which measures other sections than Debian 12's above."""
    root = signed_project(tmp_path / "p", "raw-efi", stub="")
    results = root / "build" / "node"

    def session() -> dict[str, str]:
        words = ["-m", "doit", "run:node", "--secure-boot", "--accel", "tcg", "--ssh", str(free_port())]
        command = ["setsid", "env", "-C", str(root), f"PYTHONPATH={REPOSITORY}", sys.executable, *words]
        with started(command) as machine:
            try:
                machine.wait_for_the_end()
                return {"console": machine.console}
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(machine.process.pid, signal.SIGKILL)  # QEMU, too

    seen = once("doit run --secure-boot", [results / "node-efi.img", root / "keys" / "db.cer"], session)["console"]
    expected = registers(results / "manifest.json", "raw-efi", "uki")
    assert [text for text in (ENABLED, node.UP, *expected) if text not in seen] == [], seen


ARM_INIT = signed.INIT.replace(b"\n", b"\n/bin/busybox mkdir /sys\n", 1)


@pytest.fixture(scope="module")
def arm_disks(tmp_path_factory) -> dict[str, Path]:
    """Disks of a node for arm64: signed, and unsigned."""
    place = tmp_path_factory.mktemp("arm")
    store = Store(place / "store")
    kernel = node.kernel(store, b"console=ttyAMA0 panic=-1", "arm64")
    fragment = initrd.fragment(store, node.rootfs(store, ARM_INIT, "arm64"), compress="zstd:3")
    known = node.products(store, arch="arm64") | {
        "kernel": lambda: kernel, "initrd": lambda: initrd.initrd(store, kernel, fragment),
    }  # fmt: skip
    unsigned = node.make(store, "uki", known)
    attributes = authenticode.signed_attributes(
        image_hash(BytesView(store.bytes(store.tree(unsigned).file(".efi").content)))
    )
    certificate = x509.from_file((kept_keys() / "db.cer").read_bytes())
    signature = signing_keys.sign(kept_keys() / "db.key", certificate, attributes)
    signer = Signer([certificate], {f"sha256:{hashlib.sha256(attributes).hexdigest()}": signature}, {})
    disks = {}
    for name, options in (("signed", {"sign": signer.parameter()}), ("unsigned", {})):
        (place / name).mkdir()
        disks[name] = node.disk(store, "raw-efi", place / name, known, **options)
    return disks


@pytest.mark.parametrize(("name", "sight"), [("signed", node.UP), ("unsigned", DENIED)])
def test_only_the_signed_node_starts_on_arm64(arm_disks, name, sight):
    seen = console(arm_disks[name], "raw-efi", sight, "arm64")
    assert [text in seen for text in (ENABLED, LOCKED, node.UP)] == [name == "signed"] * 3, seen
