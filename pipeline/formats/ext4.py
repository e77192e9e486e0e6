"""ext4: a disk that BIOS and UEFI boot, with the root as an ext4 file system: only what boots is loaded into memory.

Two partitions: the volume of raw-hybrid, whose initrd is the small one that mounts a root (bootrd), and the root, which
the command line names by PARTUUID. The boot loaders have a FAT of their own because that is what both firmwares start
from; Syslinux could lie in the ext4 itself, but it boots no UEFI, and the root would have to do without 64-bit
addresses and whatever else Syslinux does not read. The root is mounted read-only: /run, /tmp and /var are in memory.
"""

from __future__ import annotations

from uuid import UUID

from pipeline.digest import Digest
from pipeline.stages import bootvolume, unified
from pipeline.store import Store
from pipeline.tree import Content, File, Tree, files, length
from pipeline.writers import disk, ext4, gpt

NAME = "ext4"
VERSION = f"1 ext4-{ext4.VERSION} gpt-{gpt.VERSION} {bootvolume.VERSION} uki-{unified.VERSION}"
NEEDS = ("kernel", "bootrd", "rootfs", "syslinux", "systemd-boot")
OPTIONS = ("size", "label")
SUFFIXES = ("-ext4.img",)
DISK = True
LARGEST_FILE = ext4.LARGEST_FILE
LABEL = "root"
BOOT_CODE = ("usr/lib/SYSLINUX/gptmbr.bin", "usr/lib/EXTLINUX/gptmbr.bin", "usr/lib/syslinux/mbr/gptmbr.bin")
SPARE = 2 * disk.MIB
"""What the partition table takes at both ends."""


def build(
    store: Store,
    kernel: Digest,
    bootrd: Digest,
    rootfs: Digest,
    syslinux: Digest,
    systemd_boot: Digest,
    size: str | None = None,
    label: str | None = None,
) -> Digest:
    """Tree {"-ext4.img"}; what is below boot/ is not in the root. size: of the disk, the smallest by default.

    label: of the boot volume. Unwritable for what ext4 cannot carry, or where `size` is too small.
    """
    tree = Tree((path, entry) for path, entry in store.tree(rootfs).items() if not path.startswith("boot/"))
    identity = disk.identity(f"{NAME} {store.put_tree(tree)}")
    started = _with_root(store, kernel, f"root=PARTUUID={identity} rootfstype=ext4 ro")
    program = store.put_tree(files([(".efi", unified.program(store, started, bootrd, rootfs, systemd_boot))]))
    contents = bootvolume.linux_files(store, started, bootrd) | bootvolume.efi_files(store, program)
    boot = bootvolume.bios(store, contents, syslinux, None, label).content
    root, whole = store.rope(), disk.size(size)
    ext4.write(tree, root, whole and whole - SPARE - length(boot), LABEL)
    code = store.bytes(bootvolume.first(store, syslinux, *BOOT_CODE))
    content = _disk(store, boot, root.finish(), identity, whole, code)
    return store.put_tree(files([("-ext4.img", content)]))


def _disk(store: Store, boot: Content, root: Content, identity: UUID, size: int | None, code: bytes) -> Content:
    """The disk with both volumes; the root's partition has the `identity` by which the command line names it."""
    volumes = [
        gpt.Volume(boot, "EFI System", gpt.EFI_SYSTEM, gpt.BIOS_BOOTABLE),
        gpt.Volume(root, LABEL, gpt.LINUX_DATA),
    ]

    def identify(purpose: str, *contents: Content) -> UUID:
        return identity if contents == (root,) else disk.identity(purpose, *contents)

    out = store.rope()
    gpt.write_disk(volumes, size or length(boot) + length(root) + SPARE, out, identify, code)
    return out.finish()


def _with_root(store: Store, kernel: Digest, words: str) -> Digest:
    """The kernel's tree with `words` at the end of its command line."""
    tree = store.tree(kernel)
    line = store.bytes(bootvolume.part(store, kernel, "cmdline")).strip() + b" " + words.encode()
    entry = tree["cmdline"]
    assert type(entry) is File
    return store.put_tree(Tree({**tree, "cmdline": entry._replace(content=store.content(line))}))
