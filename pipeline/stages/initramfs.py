"""The boot RAM disk: a small initrd that mounts a root file system from a disk and starts its init.

A modular kernel (Debian's) needs it for the drivers of disk and file system; a kernel with built-in drivers
(LinuxKit's) does not. It consists of the kernel's modules for disks, and the tools and `mount-root` of images/init, so
that all nodes with the same kernel share it.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from pipeline.kernel import modules as kernel_modules
from pipeline.kernel.modinfo import is_module, module_name
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Directory, Symlink, Tree, complete
from pipeline.oci.layer import tar_tree
from pipeline.stages import initrd
from pipeline.store import Store
from pipeline.writers import FormatError

VERSION = f"2 {initrd.VERSION} modules-{kernel_modules.VERSION}"

DRIVERS = (
    "virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ahci", "ata_piix", "ata_generic",
    "nvme", "usb_storage", "uas", "xhci_pci", "ehci_pci", "ohci_pci", "uhci_hcd", "xen_blkfront", "hv_storvsc",
    "pci_hyperv", "vmw_pvscsi", "mptspi", "mmc_block", "sdhci_pci", "sdhci_iproc",
)  # fmt: skip
"""Modules of disks, virtual ones first. One that a kernel lacks, or has built in, is left out."""
FILE_SYSTEMS = ("ext4", "squashfs", "erofs", "isofs", "crc32c_*", "crc32c-*")
"""Modules of file systems, and of the checksum that ext4 requests by name."""
VERITY = ("dm_verity", "sha256_*", "sha256-*", "sha2_ce", "sha2-ce*")
"""Modules of dm-verity, and of processors that have SHA-256."""
MOUNT_ROOT = "usr/lib/nodekiln/mount-root"
TOOLS = re.compile(rf"s?bin(/.*)?|usr/bin/busybox|{MOUNT_ROOT}|(.*/)?(ld-linux-|ld-musl-|libc\.|libresolv\.)[^/]*")
"""Paths of images/init that are needed: busybox and the libraries that it is linked with."""
VERITY_TOOLS = re.compile(r"usr/sbin/dmsetup|.*\.so(\.[^/]*)?")
"""Paths of images/dmsetup that are needed: the program and the libraries that it is linked with."""
MOUNT_POINTS = ("dev", "mnt", "proc", "sys")


def modules(store: Store, *image: Digest, tar: str, verity: bool = False) -> Digest:
    """Returns the kernel's modules for disks and their file systems, with dependency data: Tree lib/modules/….

    image: the kernel's, if there is one. tar: its file of modules, "" for a kernel with built-in drivers. verity: with
    dm-verity; FormatError for a kernel that has it neither as a module nor built in.
    """
    file = store.tree(image[0]).get_file(tar.removeprefix("/")) if image else None
    unpacked = tar_tree(store, file.content) if file else Tree()
    known = {module_name(path) for path in unpacked if is_module(path)}
    if verity and known and "dm_verity" not in known and not _built_in(store, unpacked, b"dm-verity"):
        raise FormatError("the kernel has no dm-verity, neither as a module nor built in: build.verity needs it")
    wanted = [entry.replace("-", "_") for entry in (*DRIVERS, *FILE_SYSTEMS, *(VERITY if verity else ()))]
    found = [name for name in wanted if any(fnmatchcase(entry, name) for entry in known)]
    kept = kernel_modules.cut(store, unpacked, found) if found else Tree()
    return store.put_tree(Tree((path, entry) for path, entry in kept.items() if path.startswith("lib/modules/")))


def _built_in(store: Store, unpacked: Tree, module: bytes) -> bool:
    """Returns whether the kernel's list of built-in modules has `module` (kmod, modules.builtin)."""
    lists = (file for path, file in unpacked.files().items() if path.endswith("/modules.builtin"))
    return any(b"/%s.ko\n" % module in store.bytes(file.content) for file in lists)


def ramdisk(store: Store, modules: Digest, init: Digest, *dmsetup: Digest) -> Digest:
    """Returns the Tree of the RAM disk: `modules`, and the tools of the trees of images/init and, for dm-verity,
    images/dmsetup. FormatError."""
    tools = {path: entry for path, entry in store.tree(init).items() if TOOLS.fullmatch(path)}
    for tree in dmsetup:
        tools |= {path: entry for path, entry in store.tree(tree).items() if VERITY_TOOLS.fullmatch(path)}
    if MOUNT_ROOT not in tools:
        raise FormatError(f"the init image has no {MOUNT_ROOT}, which mounts a root file system")
    added = {path: Directory(0o755, 0, 0, EPOCH) for path in MOUNT_POINTS}
    start = Symlink(0o777, 0, 0, EPOCH, (), MOUNT_ROOT)
    return store.put_tree(complete(Tree({**store.tree(modules), **tools, **added, "init": start}).ordered()))
