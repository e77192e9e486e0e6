"""verity-efi: a disk for UEFI whose root, an erofs, is verified block by block while it is read (dm-verity).

Three partitions: the EFI system partition, with kernel, small initrd and command line as one program; the root; its
hash tree. The command line has the root hash, so that program vouches for every byte of the root. Types and UUIDs are
those of the Discoverable Partitions Specification. Further partitions of `build.partitions` follow.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from pipeline.container.cmdline import EFI_STUB
from pipeline.formats import Drive, Firmware, Format, Recipe
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, cut, files, length
from pipeline.stages import boot_partition, disk_with_root, erofs_root, partitions, signed, unified, verity
from pipeline.stages.partitions import Disk
from pipeline.stages.verity import PANIC_SECONDS, Verified, bound, verified, words
from pipeline.store import Store
from pipeline.writers import disk, erofs, erofsmeta, gpt, pe
from pipeline.writers.verity import Root

VERSION = f"1 {disk_with_root.VERSION} erofs-{erofs_root.VERSION} verity-{verity.VERSION}"
TYPES = {
    "X64": (UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")),
    "AA64": (UUID("b921b045-1df0-41c3-af44-4c6f280d3fae"), UUID("df3300ce-d69f-4c92-978c-9bfb0f38d820")),
}
"""UEFI's name of an architecture -> types of its root partition, and of the partition with the root's hash tree."""
READ_ONLY = 1 << 60
"""Attribute of partitions that are to be mounted read-only."""
LABELS = ("root", "root-verity")
"""Names of these partitions."""
LONGEST = (
    f"root=PARTUUID={UUID(int=0)} rootfstype=erofs "
    f"{words(Root(bytes(32), 1 << 32, bytes(32)), 'restart', UUID(int=0))} panic={PANIC_SECONDS}"
)
"""The most that `build` adds to the command line."""


def build(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, systemd_boot: Digest,
    *, name: str = "", compress: str = "zstd", verity: str = "panic", sign: Any = None, **options: Any,
) -> Digest:  # fmt: skip
    """Tree {"-verity-efi.img"}: a disk with the `options` of stages.partitions.Disk. The root is without boot/.

    name: of the node. compress: as erofs_root.volume's. verity: reaction to a damaged block. sign: a signer (as
    stages.signed takes it). FormatError or StageProblem where `size` is too small.
    """
    wanted, root = Disk(**options), verified(store, erofs_root.volume(store, rootfs, compress), name)
    started = signed.signed(store, _program(store, root, verity, kernel, bootrd, release, systemd_boot), sign)
    contents = boot_partition.efi_files(store, started)
    boot = disk_with_root.booted(partial(boot_partition.efi, store, contents), wanted)
    head = cut(boot_partition.required_file(store, started, ".efi"), 0, boot_partition.PROGRAM_HEAD)
    machine = pe.MACHINES[pe.machine(store.bytes(head))]
    volumes = [partitions.gpt_volume(boot, wanted), *_volumes(root, machine)]
    content = partitions.write_gpt_of(store, volumes, wanted, partial(_identity, root.root, volumes[1:]))
    return store.put_tree(files([("-verity-efi.img", content)]))


def program(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, systemd_boot: Digest,
    *, name: str = "", compress: str = "zstd", verity: str = "panic",
) -> Digest:  # fmt: skip
    """Tree {".efi"}: the program of the disk that `build` makes with these options, unsigned."""
    root = verified(store, erofs_root.volume(store, rootfs, compress), name)
    return _program(store, root, verity, kernel, bootrd, release, systemd_boot)


def _program(
    store: Store, root: Verified, mode: str, kernel: Digest, bootrd: Digest, release: Digest, systemd_boot: Digest
) -> Digest:
    """Tree {".efi"}: kernel and initrd, with the command line that binds `root`. mode: reaction to a damaged block."""
    data, tree = root.root.identities
    line = f"root=PARTUUID={data} rootfstype=erofs {words(root.root, mode, tree)}"
    content = unified.program(store, bound(store, kernel, line), bootrd, release, systemd_boot)
    return store.put_tree(files([(".efi", content)]))


def _volumes(root: Verified, machine: str) -> list[gpt.GptVolume]:
    """Returns the partitions of the root and of its hash tree, in whole MiB."""
    contents = [_padded(content) for content in (root.content, root.tree)]
    return [
        gpt.GptVolume(content, label, kind, READ_ONLY)
        for content, label, kind in zip(contents, LABELS, TYPES[machine], strict=True)
    ]


def _padded(content: Content) -> Content:
    pad = -length(content) % disk.MIB
    return (*content, Slice(None, 0, pad)) if pad else content


def _identity(root: Root, verified: list[gpt.GptVolume], purpose: str, *contents: Content) -> UUID:
    """Returns `disk.identity`, with the root hash in place of the volumes `verified`, which have their halves of it."""
    known = {id(volume.content): identity for volume, identity in zip(verified, root.identities, strict=True)}
    if len(contents) == 1 and id(contents[0]) in known:
        return known[id(contents[0])]
    others = (content for content in contents if id(content) not in known)
    return disk.identity(f"{purpose} {root.hash.hex()}", *others)


FORMAT = Format(
    "verity-efi", build, needs=("kernel", "verity_bootrd", "rootfs", "release", Recipe("systemd-boot")),
    options=("compress", "label", "name", "partitions", "sign", "size", "verity"), produces=("-verity-efi.img",),
    firmware=Firmware.UEFI, drive=Drive(), loaders=(EFI_STUB.adding(LONGEST),), carried=erofsmeta.CARRIED,
    largest_file=erofs.LARGEST_FILE, most_partitions=gpt.ENTRIES - 2, program=program,
    program_options=("compress", "name", "verity"),
)  # fmt: skip
