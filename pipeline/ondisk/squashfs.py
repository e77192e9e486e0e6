"""squashfs 4.0: superblock, inodes, directories, tables.

Source: kernel, fs/squashfs/squashfs_fs.h. `inode_number`, there the last field of an inode's head, is here the first of
its body: many heads are equal but for it.
"""

from pipeline.ondisk import Structure

MAGIC = b"hsqs"
COMPRESSIONS = {"gzip": 1, "xz": 4, "zstd": 6}
DUPLICATES, NO_XATTR = 0x40, 0x200
"""Flags of a superblock."""
INVALID_BLK, INVALID = (1 << 64) - 1, (1 << 32) - 1
"""Place of a table that is not there; number of a fragment, or of a set of attributes, that a file does not have."""
SUPERBLOCK = Structure(
    "<",
    s_magic=("4s", MAGIC), inodes="I", mkfs_time="I", block_size="I", fragments="I", compression="H", block_log="H",
    flags="H", no_ids="H", s_major=("H", 4), s_minor="H", root_inode="Q", bytes_used="Q", id_table_start="Q",
    xattr_id_table_start="Q", inode_table_start="Q", directory_table_start="Q", fragment_table_start="Q",
    lookup_table_start=("Q", INVALID_BLK),
)  # fmt: skip
METADATA_SIZE = 8192
UNCOMPRESSED_METADATA, UNCOMPRESSED = 1 << 15, 1 << 24
"""Set in the size of a metadata block, of a data block that is stored as it is."""
DIRECTORY, REGULAR, SYMLINK, BLOCK_DEVICE, CHARACTER_DEVICE, FIFO, SOCKET = range(1, 8)
EXTENDED = 7
"""Difference between the types of an inode's extended and its basic form."""
INODE = Structure("<", inode_type="H", mode="H", uid="H", guid="H", mtime="I")
DIR = Structure("<", inode_number="I", start_block="I", nlink="I", file_size="H", offset="H", parent_inode="I")
LARGE_DIR = Structure(
    "<", inode_number="I", nlink="I", file_size="I", start_block="I", parent_inode="I", i_count="H", offset="H",
    xattr="I",
)  # fmt: skip
DOTS = 3
"""Difference between a directory's file_size and the bytes of its listing: `.` and `..`, which are not stored."""
FILE = Structure("<", inode_number="I", start_block="I", fragment="I", offset="I", file_size="I")
LARGE_FILE = Structure(
    "<", inode_number="I", start_block="Q", file_size="Q", sparse="Q", nlink="I", fragment="I", offset="I", xattr="I"
)
OTHER = Structure("<", inode_number="I", nlink="I")
U32 = Structure("<", value="I")
"""A number: symlink_size or rdev after OTHER, xattr after those in the extended form, the size of an attribute's
value."""
DIR_HEADER = Structure("<", count="I", start_block="I", inode_number="I")
DIR_ENTRY = Structure("<", offset="H", inode_number="h", type="H", size="H")
DIR_INDEX = Structure("<", index="I", start_block="I", size="I")
FRAGMENT = Structure("<", start_block="Q", size="I", unused="I")
PREFIXES = {"user.": 0, "trusted.": 1, "security.": 2}
OUT_OF_LINE = 0x100
"""Set in the type of an attribute whose value is the place of one."""
XATTR_ENTRY = Structure("<", type="H", size="H")
XATTR_ID = Structure("<", xattr="Q", count="I", size="I")
XATTR_TABLE = Structure("<", xattr_table_start="Q", xattr_ids="I", unused="I")
