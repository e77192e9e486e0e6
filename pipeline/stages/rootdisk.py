"""Disks whose second partition is the root, an ext4 file system that the command line names: the rest of such formats.

The PARTUUID follows from the root's tree, so that the command line is known before the size of the root is.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from pipeline.digest import Digest
from pipeline.stages import bootvolume, unified
from pipeline.store import Store
from pipeline.tree import Content, File, Tree, dump, files, length, outside
from pipeline.writers import disk, ext4, gpt

VERSION = f"1 ext4-{ext4.VERSION} gpt-{gpt.VERSION} {bootvolume.VERSION} uki-{unified.VERSION}"
LABEL = "root"
SPARE = 2 * disk.MIB
"""What the partition table takes at both ends."""


class Node(NamedTuple):
    """A root, and what starts it."""

    root: Tree
    """The root file system: without boot/."""
    digest: Digest
    """Of that tree."""
    identity: UUID
    """Of its partition."""
    kernel: Digest
    """The kernel's tree; its command line names the root."""
    program: Digest
    """Tree {".efi"}: kernel, boot RAM disk and that command line."""


def node(store: Store, kernel: Digest, bootrd: Digest, rootfs: Digest, systemd_boot: Digest) -> Node:
    """`rootfs` as the root of a disk. Unwritable where there is no kernel."""
    root = outside("boot", store.tree(rootfs))
    digest = Digest.of(dump(root))
    identity = disk.identity(f"ext4 root {digest}")
    started = _with_root(store, kernel, f"root=PARTUUID={identity} rootfstype=ext4 ro")
    program = unified.program(store, started, bootrd, rootfs, systemd_boot)
    return Node(root, digest, identity, started, store.put_tree(files([(".efi", program)])))


def written(
    store: Store, node: Node, boot: Content, size: str | None, attributes: int = 0, code: bytes = b""
) -> Content:
    """The disk of `size`, or the smallest, that starts from the volume `boot`; Unwritable if `size` is too small.

    attributes, code: of the first partition, and for a BIOS.
    """
    whole, out = disk.size(size), store.rope()
    ext4.write(node.root, out, whole and max(whole - SPARE - length(boot), 0), LABEL, digest=node.digest)
    root = out.finish()

    def identify(purpose: str, *contents: Content) -> UUID:
        return node.identity if contents == (root,) else disk.identity(purpose, *contents)

    volumes = [gpt.Volume(boot, "EFI System", gpt.EFI_SYSTEM, attributes), gpt.Volume(root, LABEL, gpt.LINUX_DATA)]
    out = store.rope()
    gpt.write_disk(volumes, whole or length(boot) + length(root) + SPARE, out, identify, code)
    return out.finish()


def _with_root(store: Store, kernel: Digest, words: str) -> Digest:
    """The kernel's tree with `words` at the end of its command line."""
    tree = store.tree(kernel)
    line = store.bytes(bootvolume.part(store, kernel, "cmdline")).strip() + b" " + words.encode()
    entry = tree["cmdline"]
    assert type(entry) is File
    return store.put_tree(Tree({**tree, "cmdline": entry._replace(content=store.content(line))}))
