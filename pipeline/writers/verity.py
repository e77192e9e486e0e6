"""The hash tree of dm-verity, as `veritysetup format` writes it: SHA-256, blocks of 4096 bytes.

Source: kernel, Documentation/admin-guide/device-mapper/verity.rst; cryptsetup, lib/verity. The superblock is followed
by the levels of the tree, the highest first. A block of a level holds the digests of 128 blocks below it, salt in
front; the root hash is the digest of the highest block. A volume of a single block has no levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from pipeline.model.tree import Compress, Content, Read, Sink, Transform, joined, length, split
from pipeline.ondisk import verity as ondisk
from pipeline.writers import FormatError

VERSION = 1
BLOCK = 4096
"""Size of a block of data, and of the tree, in bytes."""
GROUP = BLOCK // hashlib.sha256().digest_size * BLOCK
"""Size of the data, or of the blocks of a level, that one block of the next level covers, in bytes."""


class Root(NamedTuple):
    """The identity of a volume, all that has to be trusted."""

    hash: bytes
    """The root hash, 32 bytes."""
    blocks: int
    """Number of data blocks."""
    salt: bytes
    """The salt, at most 256 bytes."""

    @property
    def identities(self) -> tuple[UUID, UUID]:
        """UUIDs of the partitions with the data and with the tree: the first and the last half of the root hash (UAPI
        group, Discoverable Partitions Specification)."""
        return UUID(bytes=self.hash[:16]), UUID(bytes=self.hash[-16:])


def hash_groups(salt: bytes) -> Transform:
    """Returns the transform for `write`: groups of at most 128 blocks become the blocks with their digests."""
    return partial(_hash_groups, hashlib.sha256(salt))


def write(content: Content, salt: bytes, hash_all: Compress, read: Read, out: Sink) -> Root:
    """Writes the superblock and the hash tree of the volume `content`.

    hash_all: applies `hash_groups(salt)`, in order. FormatError for no, or no whole, blocks, and for too long a salt.
    """
    blocks, rest = divmod(length(content), BLOCK)
    if rest or not blocks:
        raise FormatError(f"dm-verity takes a root of whole blocks of {BLOCK} bytes, not {length(content)} bytes")
    if len(salt) > ondisk.LONGEST_SALT:
        raise FormatError(f"dm-verity has room for a salt of {ondisk.LONGEST_SALT} bytes, not {len(salt)}")
    levels = [content]
    while length(levels[-1]) > BLOCK:
        levels.append(joined((block,) for block in hash_all(split(levels[-1], GROUP))))
    root = Root(hashlib.sha256(salt + b"".join(read(levels[-1]))).digest(), blocks, salt)
    out.write(superblock(root))
    for level in reversed(levels[1:]):
        out.extend(level)
    return root


def superblock(root: Root) -> bytes:
    """Returns the first block of a hash tree. Its UUID is the first half of the root hash."""
    return ondisk.SUPERBLOCK.pack(
        uuid=root.identities[0].bytes, data_blocks=root.blocks, salt_size=len(root.salt), salt=root.salt
    ).ljust(BLOCK, b"\0")


def _hash_groups(salted: hashlib._Hash, groups: Sequence[bytes]) -> list[bytes]:
    return [_hash_group(salted, memoryview(group)) for group in groups]


def _hash_group(salted: hashlib._Hash, group: memoryview) -> bytes:
    """Returns the digests of the blocks of `group`, padded to a block. salted: SHA-256 after the salt."""
    digests = []
    for start in range(0, len(group), BLOCK):
        state = salted.copy()
        state.update(group[start : start + BLOCK])
        digests.append(state.digest())
    return b"".join(digests).ljust(BLOCK, b"\0")
