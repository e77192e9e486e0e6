"""Unified kernel images: stub, kernel, initrd and command line as one EFI program (UAPI group's specification)."""

from __future__ import annotations

from functools import partial

from pipeline.container.cmdline import EFI_STUB
from pipeline.incremental import checksum16
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, overlay, parent
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store
from pipeline.writers import FormatError, pe

VERSION = pe.VERSION
STUBS = "usr/lib/systemd/boot/efi/linux"
"""Start of the paths of stubs: linuxx64.efi.stub, linuxaa64.efi.stub, …"""
RELEASES = ("etc/os-release", "usr/lib/os-release")
OS_RELEASE = b'ID=nodekiln\nNAME="nodekiln"\nPRETTY_NAME="nodekiln node"\n'
MODULES = ("lib/modules/", "usr/lib/modules/")


def program(store: Store, kernel: Digest, initrd: Digest, rootfs: Digest, systemd_boot: Digest) -> Content:
    """Returns the program with sections .osrel, .cmdline, .uname, .initrd and, last, .linux, which unpacks in place.

    rootfs: the node's root, or a result of `release`.
    """
    paths = [path for path in store.tree(systemd_boot) if path.startswith(STUBS) and path.endswith(".efi.stub")]
    if len(paths) != 1:
        raise FormatError(f"the systemd-boot image must have one {STUBS}….efi.stub, and it has {len(paths)}")
    stub = pe.stub(store.bytes(required_file(store, systemd_boot, paths[0])))
    line = EFI_STUB.check(store.bytes(required_file(store, kernel, "cmdline")).decode())
    cmdline = line.encode().strip()
    sections = [
        (".osrel", _os_release(store, rootfs)),
        (".cmdline", store.content(b" ".join(cmdline.splitlines()) + b"\0")),
        (".uname", store.content(_release(store, rootfs))),
        (".initrd", required_file(store, initrd, "initrd.img")),
        (".linux", required_file(store, kernel, "kernel")),
    ]
    out = store.rope()
    pe.write(stub, [(name, content) for name, content in sections if content], partial(checksum16, store), out)
    return out.finish()


def release(store: Store, *parts: Digest) -> Digest:
    """Returns what `program` reads of a root file system of `parts`: os-release and the modules' directories."""
    cut = [{path: entry for path, entry in store.tree(part).items() if _is_read(path)} for part in parts]
    return store.put_tree(overlay({}, *cut))


def _is_read(path: str) -> bool:
    """Returns whether `program` reads `path`, or `path` is a parent of what it reads."""
    wanted = (*RELEASES, *MODULES)
    return f"{parent(path)}/" in MODULES or path in RELEASES or any(child.startswith(f"{path}/") for child in wanted)


def _os_release(store: Store, rootfs: Digest) -> Content:
    files = (store.tree(rootfs).get_file(path) for path in RELEASES)
    return next((file.content for file in files if file and file.content), None) or store.content(OS_RELEASE)


def _release(store: Store, rootfs: Digest) -> bytes:
    """Returns the kernel's release (`uname -r`): the name of its modules' directory; "" if there is none."""
    names = [path[len(start) :] for path in store.tree(rootfs) for start in MODULES if path.startswith(start)]
    return min((name for name in names if "/" not in name), default="").encode()
