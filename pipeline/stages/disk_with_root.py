"""Disks whose second partition is the root, an ext4 file system that the command line names by PARTUUID.

Further partitions of `build.partitions` follow it. The PARTUUID depends on the node's tree alone, so that the command
line is known before the size of the root.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from pipeline.container import cmdline
from pipeline.incremental import memoized
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Tree, files, length, outside
from pipeline.stages import boot_partition, partitions, signed, unified
from pipeline.stages.carried import warn_of
from pipeline.stages.direct_boot import with_words
from pipeline.stages.partitions import Disk
from pipeline.store import Store
from pipeline.writers import disk, ext4, ext4inode, gpt

VERSION = f"3 {partitions.VERSION} uki-{unified.VERSION}"
LABEL = "root"
WORDS = "root=PARTUUID={} rootfstype=ext4 ro"
"""Words of the command line that name the root; {} is its UUID."""
EFI_STUB, SYSLINUX = (loader.adding(WORDS.format(UUID(int=0))) for loader in (cmdline.EFI_STUB, cmdline.SYSLINUX))
"""Boot loaders, with room for these words on their command lines."""


class Node(NamedTuple):
    """A root file system, and what boots it."""

    root: Tree
    """The root file system, without boot/."""
    identity: UUID
    """UUID of its partition."""
    kernel: Digest
    """The kernel's tree, with a command line that names the root."""
    program: Digest
    """Tree {".efi"} with kernel, boot RAM disk and that command line."""


def node(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, systemd_boot: Digest, sign: Any
) -> Node:
    """Returns `rootfs` as the root of a disk. FormatError without a kernel.

    release: a result of `unified.release`. sign: a signer of its program as in stages.signed, or None.
    """
    root = outside("boot", store.tree(rootfs))
    warn_of(ext4inode.CARRIED, root)
    identity = disk.identity(f"ext4 root {rootfs}")
    started = with_words(store, kernel, WORDS.format(identity))
    unsigned = store.put_tree(files([(".efi", unified.program(store, started, bootrd, release, systemd_boot))]))
    return Node(root, identity, started, signed.signed(store, unsigned, sign))


def program(
    store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, release: Digest, systemd_boot: Digest
) -> Digest:
    """Tree {".efi"}: the program of `node`, unsigned."""
    return node(store, kernel, bootrd, rootfs, release, systemd_boot, None).program


def booted(make: Callable[..., boot_partition.Volume], wanted: Disk) -> boot_partition.Volume:
    """Returns the first partition, made by `make(size=…, label=…)`, whatever the size of the disk."""
    return partitions.booted(make, wanted._replace(size=None), partitions.GPT_SPARE)


def written(
    store: Store, node: Node, boot: boot_partition.Volume, wanted: Disk, attributes: int = 0, code: bytes = b""
) -> Content:
    """Returns a disk with the volume `boot` and the root behind it, which fills it unless more partitions follow.

    attributes: of the first partition. code: for a BIOS. FormatError or StageProblem if the wanted size is too small.
    """
    whole, out = disk.size(wanted.size), store.rope()
    fills = whole is not None and len(wanted.partitions) < 2
    room = max((whole or 0) - partitions.GPT_SPARE - length(boot.content), 0)
    ext4.write(node.root, partial(memoized, store), out, room if fills else None, LABEL)
    root = out.finish()

    def identify(purpose: str, *contents: Content) -> UUID:
        """Returns `disk.identity`, with the root's UUID in place of its content, which has a slice for each file."""
        if contents == (root,):
            return node.identity
        if root in contents:
            purpose += f" {node.identity} {length(root)}"
        return disk.identity(purpose, *(content for content in contents if content is not root))

    volumes = [partitions.gpt_volume(boot, wanted, attributes), gpt.GptVolume(root, LABEL, gpt.LINUX_DATA)]
    return partitions.write_gpt_of(store, volumes, wanted, identify, code)
