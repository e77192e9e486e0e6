"""Hash trees of dm-verity: the superblock (cryptsetup, lib/verity). The tree follows from the data and stays closed."""

from __future__ import annotations

from uuid import UUID

from pipeline.ondisk import verity as ondisk
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError
from pipeline.readers.view import View, subview


def recognises(view: View) -> bool:
    return view.read(0, len(ondisk.SIGNATURE)) == ondisk.SIGNATURE


def read(view: View) -> Listing:
    """Lists `tree`: the levels, the highest first."""
    block = ondisk.SUPERBLOCK.unpack(view.read(0, ondisk.SUPERBLOCK.size))
    if not ondisk.SUPERBLOCK.size <= block.hash_block_size <= view.size:
        raise StructureError(f"a hash tree with blocks of {block.hash_block_size} bytes")
    properties: dict[str, str | int] = {
        "version": block.version, "hash type": block.hash_type, "UUID": str(UUID(bytes=block.uuid)),
        "algorithm": block.algorithm.rstrip(b"\0").decode("latin-1"), "data block size": block.data_block_size,
        "hash block size": block.hash_block_size, "data blocks": block.data_blocks,
        "salt": block.salt[: block.salt_size].hex(),
    }  # fmt: skip
    tree = subview(view, block.hash_block_size, view.size - block.hash_block_size)
    return {"tree": Node("tree", {}, tree), HEADER: Node("header", properties)}


READER = Reader("dm-verity", recognises, read)
