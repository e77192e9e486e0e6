"""The boot RAM disk: a small initrd that mounts a root file system from a disk and starts the init in there.

A kernel of modules (Debian's) has neither the disk's driver nor the file system's; a kernel that has them built in
(LinuxKit's) can do without this. It is made of the kernel's modules for disks and of images/init's tools and
`mount-root`, and not of anything else of the node: one for all nodes with the same kernel.
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

VERSION = f"1 {initrd.VERSION} modules-{kernel_modules.VERSION}"

DRIVERS = (
    "virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ahci", "ata_piix", "ata_generic",
    "nvme", "usb_storage", "uas", "xhci_pci", "ehci_pci", "ohci_pci", "uhci_hcd", "xen_blkfront", "hv_storvsc",
    "pci_hyperv", "vmw_pvscsi", "mptspi", "mmc_block", "sdhci_pci", "sdhci_iproc",
)  # fmt: skip
"""Of the disks of machines, virtual ones first. What a kernel does not have, or has built in, is not missed."""
FILE_SYSTEMS = ("ext4", "squashfs", "erofs", "isofs", "crc32c_*", "crc32c-*")
"""And the checksum that ext4 asks the kernel for by name."""
MOUNT_ROOT = "usr/lib/nodekiln/mount-root"
TOOLS = re.compile(rf"s?bin(/.*)?|{MOUNT_ROOT}|(.*/)?(ld-linux-|ld-musl-|libc\.|libresolv\.)[^/]*")
"""What of images/init is needed: busybox and what it is linked with."""
MOUNT_POINTS = ("dev", "mnt", "proc", "sys")


def modules(store: Store, *image: Digest, tar: str) -> Digest:
    """The kernel's modules for disks and their file systems, with dependency data: Tree lib/modules/….

    image: the kernel's, if there is one; tar: its file of modules, "" for a kernel that has all built in.
    """
    file = store.tree(image[0]).get_file(tar.removeprefix("/")) if image else None
    unpacked = tar_tree(store, file.content) if file else Tree()
    known = {module_name(path) for path in unpacked if is_module(path)}
    wanted = [each.replace("-", "_") for each in (*DRIVERS, *FILE_SYSTEMS)]
    found = [name for name in wanted if any(fnmatchcase(each, name) for each in known)]
    kept = kernel_modules.cut(store, unpacked, found) if found else Tree()
    return store.put_tree(Tree((path, each) for path, each in kept.items() if path.startswith("lib/modules/")))


def ramdisk(store: Store, modules: Digest, init: Digest) -> Digest:
    """The Tree of the RAM disk: `modules`, and what starts them out of images/init's tree, `init`."""
    tools = {path: entry for path, entry in store.tree(init).items() if TOOLS.fullmatch(path)}
    if MOUNT_ROOT not in tools:
        raise FormatError(f"the init image has no {MOUNT_ROOT}, which mounts a root file system")
    added = {path: Directory(0o755, 0, 0, EPOCH) for path in MOUNT_POINTS}
    start = Symlink(0o777, 0, 0, EPOCH, (), MOUNT_ROOT)
    return store.put_tree(complete(Tree({**store.tree(modules), **tools, **added, "init": start}).ordered()))
