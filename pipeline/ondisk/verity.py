"""The superblock in front of a hash tree of dm-verity. Source: cryptsetup, lib/verity/verity.c (struct verity_sb)."""

from pipeline.ondisk import Structure

SIGNATURE = b"verity\0\0"
ALGORITHM = b"sha256"
LONGEST_SALT = 256
"""Maximum length of a salt, in bytes."""
SUPERBLOCK = Structure(
    "<",
    signature=("8s", SIGNATURE), version=("I", 1), hash_type=("I", 1), uuid="16s", algorithm=("32s", ALGORITHM),
    data_block_size=("I", 4096), hash_block_size=("I", 4096), data_blocks="Q", salt_size="H", padding_1="6s",
    salt="256s", padding_2="168s",
)  # fmt: skip
"""hash_type 1: the salt comes before the data, and digests fill a block without gaps."""
