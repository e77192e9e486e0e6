"""qcow2 disk images: the header, entries of tables. Source: QEMU, docs/interop/qcow2.rst."""

from pipeline.ondisk import Structure

MAGIC = b"QFI\xfb"
HEADER = Structure(
    ">",
    magic=("4s", MAGIC), version=("I", 3), backing_file_offset="Q", backing_file_size="I", cluster_bits="I", size="Q",
    crypt_method="I", l1_size="I", l1_table_offset="Q", refcount_table_offset="Q", refcount_table_clusters="I",
    nb_snapshots="I", snapshots_offset="Q", incompatible_features="Q", compatible_features="Q",
    autoclear_features="Q", refcount_order="I", header_length="I", compression_type="B", padding="7s",
)  # fmt: skip
SIZE_2, SIZE_3 = HEADER.offset["incompatible_features"], HEADER.offset["compression_type"]
"""Bytes of the header in version 2; and in version 3 without a compression type."""
DIRTY, CORRUPT, COMPRESSION_TYPE = 1 << 0, 1 << 1, 1 << 3
"""Incompatible features."""
ZSTD = 1
"""Compression type."""
LARGEST_L1 = 32 << 20
"""Maximum size of an L1 table, in bytes, that QEMU reads (block/qcow2.h, QCOW_MAX_L1_SIZE)."""
COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1
"""Flags of an entry: its target has a reference count of one; is compressed; reads as zeros."""
OFFSET = 0x00FFFFFFFFFFFE00
"""Bits of an entry that are an offset."""


def sectors_at(cluster_bits: int) -> int:
    """The bit of a compressed cluster's entry where the number of its further sectors starts; its offset is below."""
    return 62 - (cluster_bits - 8)
