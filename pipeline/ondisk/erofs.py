"""erofs: superblock, inodes, directories, extended attributes, indexes of compressed files.

Source: kernel, fs/erofs/erofs_fs.h.
"""

from pipeline.ondisk import Structure

SUPERBLOCK_OFFSET = 1024
MAGIC = 0xE0F5E1E2
SB_CHKSUM, MTIME = 1, 2
"""Compatible features: the superblock has a checksum; times are those of the last change of content."""
ZERO_PADDING, BIG_PCLUSTER, CHUNKED_FILE, COMPR_HEAD2, DEDUPE = 0x1, 0x2, 0x4, 0x8, 0x20
"""Incompatible features: zeros in front of compressed bytes; physical clusters of several blocks; files in chunks; a
second algorithm; compressed bytes that several files refer to."""
SUPERBLOCK = Structure(
    "<",
    magic=("I", MAGIC), checksum="I", feature_compat="I", blkszbits="B", sb_extslots="B", root_nid="H", inos="Q",
    build_time="q", build_time_nsec="I", blocks="I", meta_blkaddr="I", xattr_blkaddr="I", uuid="16s",
    volume_name="16s", feature_incompat="I", available_compr_algs="H", extra_devices="H", devt_slotoff="H",
    dirblkbits="B", xattr_prefix_count="B", xattr_prefix_start="I", packed_nid="Q", xattr_filter_reserved="B",
    reserved2="23s",
)  # fmt: skip
LZ4_CFGS = Structure("<", size=("H", 14), max_distance="H", max_pclusterblks="H", reserved="10s")
SLOT = 32
"""Inodes start at multiples of this, and are numbered by it."""
FLAT_PLAIN, COMPRESSED_FULL, FLAT_INLINE, COMPRESSED_COMPACT, CHUNK_BASED = range(5)
"""Layouts of an inode's data, in i_format from bit 1 on; bit 0 is the version, EXTENDED."""
NULL_ADDR = 0xFFFFFFFF
"""The block of a hole."""
CHUNK_INDEXES = 0x20
"""Flag in the format of chunks: an index of 8 bytes for each chunk, whose last 4 are its block."""
COMPACT = Structure(
    "<",
    i_format="H", i_xattr_icount="H", i_mode="H", i_nlink="H", i_size="I", i_reserved="I", i_u="I", i_ino="I",
    i_uid="H", i_gid="H", i_reserved2="I",
)  # fmt: skip
EXTENDED = Structure(
    "<",
    i_format="H", i_xattr_icount="H", i_mode="H", i_reserved="H", i_size="Q", i_u="I", i_ino="I", i_uid="I", i_gid="I",
    i_mtime="q", i_mtime_nsec="I", i_nlink="I", i_reserved2="16s",
)  # fmt: skip
DIRENT = Structure("<", nid="Q", nameoff="H", file_type="B", reserved="B")
XATTR_IBODY_HEADER = Structure("<", h_name_filter="I", h_shared_count="B", h_reserved2="7s")
XATTR_ENTRY = Structure("<", e_name_len="B", e_name_index="B", e_value_size="H")
PREFIXES = {
    "user.": 1, "system.posix_acl_access": 2, "system.posix_acl_default": 3, "trusted.": 4, "security.": 6,
}  # fmt: skip
COMPACTED_2B, BIG_PCLUSTER_1, BIG_PCLUSTER_2 = 0x1, 0x2, 0x4
INLINE_PCLUSTER, INTERLACED_PCLUSTER, FRAGMENT_PCLUSTER = 0x8, 0x10, 0x20
"""h_advise: clusters in packs of 16; physical clusters of several blocks; ends of files elsewhere, or not aligned."""
LZ4 = 0
MAP_HEADER = Structure("<", h_reserved1="H", h_idata_size="H", h_advise="H", h_algorithmtype="B", h_clusterbits="B")
FULL_INDEX = MAP_HEADER.size + 8
"""Offset of a full index from its header."""
PLAIN, HEAD, NONHEAD, HEAD2 = range(4)
"""Types of a logical cluster: not compressed; an extent starts there, or goes on; one of the second algorithm."""
CBLKCNT = 1 << 11
"""Flag in the second cluster of an extent: its number counts the blocks of the extent."""
LCLUSTER = Structure("<", di_advise="H", di_clusterofs="H", di_u="I")
