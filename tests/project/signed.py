"""A project whose node boots by UEFI, from images in a layout: Debian's kernel, busybox and systemd's stub.

The small initrd of a node with its root on a disk is of nodekiln's recipes.
"""

from __future__ import annotations

from pathlib import Path

from tests.formats import node
from tests.oci import craft
from tests.project import doit, new_project

SPEC = """\
kernel:
  image: oci:layout:kernel
  cmdline: {cmdline}
init: ["oci:layout:init"]
build:
  arch: amd64
  formats: [{formats}]
  epoch: 0
"""
STUB = "  bootloader: oci:layout:stub\n"
INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t securityfs securityfs /sys/kernel/security
/bin/busybox echo "lockdown is $(/bin/busybox cat /sys/kernel/security/lockdown)"
for number in 4 7 11; do
    /bin/busybox echo "PCR $number is $(/bin/busybox cat /sys/class/tpm/tpm0/pcr-sha256/$number)"
done
""" + node.INIT.partition(b"\n")[2]
"""What the node runs: it prints its lockdown, registers of its TPM, and that it is up."""
SIGN = "  sign: {certificate: keys/db.pem, key: keys/db.key}\n"


def layout(folder: Path, *modules: str) -> None:
    """Writes the images into the layout `folder`. modules: those of the kernel."""
    (kernel,) = (node.kernel_package() / "boot").glob("vmlinuz-*")
    stub = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    busybox = (node.package("busybox-static") / "bin/busybox").read_bytes()
    images = {
        "kernel": [
            craft.entry("kernel", data=kernel.read_bytes()),
            craft.entry("kernel.tar", data=craft.archive(craft.entry("lib", "d", mode=0o755), *_modules(modules))),
        ],
        "init": [
            *(craft.entry(name, "d", mode=0o755) for name in ("bin", "dev", "proc", "sbin", "sys")),
            craft.entry("bin/busybox", data=busybox, mode=0o755),
            craft.entry("init", data=INIT, mode=0o755),
            craft.entry("sbin/init", data=INIT, mode=0o755),
        ],
        "stub": [craft.entry(stub, data=(node.package("systemd-boot-efi") / stub).read_bytes())],
    }
    for name, entries in images.items():
        config = {"architecture": "amd64", "os": "linux"}
        craft.tagged(folder, manifest_of(folder, craft.image(folder, [craft.archive(*entries)], config=config)), name)


def _modules(names: tuple[str, ...]) -> list[bytes]:
    paths = node.modules(*names)
    return [craft.entry(str(path.relative_to(node.kernel_package())), data=path.read_bytes()) for path in paths]


def manifest_of(folder: Path, digest: str) -> bytes:
    return (folder / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()


def project(root: Path, formats: str, sign: str = SIGN, stub: str = STUB, modules: tuple[str, ...] = ()) -> Path:
    """A project with a locked spec `node`, and keys where it signs.

    stub: Debian 12's, or "" for the recipe's. modules: those of the kernel.
    """
    new_project(root, node=SPEC.format(formats=formats, cmdline=node.CMDLINE.decode()) + stub)
    layout(root / "layout", *modules)
    doit("lock:node", cwd=root)
    if sign:
        doit("keys:node", cwd=root)
        set_sign(root, sign)
    return root


def set_sign(root: Path, sign: str) -> None:
    """Replaces `build.sign`."""
    spec = root / "specs" / "node.yml"
    lines = [line for line in spec.read_text().splitlines(keepends=True) if not line.startswith("  sign:")]
    spec.write_text("".join(lines) + sign)
