"""ext4: superblock, groups, inodes, extents, directories, extended attributes; the journal's superblock.

Source: kernel, Documentation/filesystems/ext4/{super,group_descr,inodes,ifork,directory,attributes,journal}.rst.
"""

from pipeline.ondisk import Structure

SUPERBLOCK_OFFSET = 1024
MAGIC, EXTENT_MAGIC, XATTR_MAGIC, JOURNAL_MAGIC = 0xEF53, 0xF30A, 0xEA020000, 0xC03B3998
ROOT_INODE, JOURNAL_INODE, FIRST_INODE = 2, 8, 11
"""Inode numbers: the root's, the journal's, and the first that is not reserved."""
HAS_JOURNAL, EXT_ATTR, DIR_INDEX = 0x4, 0x8, 0x20
"""Compatible features."""
FILETYPE, META_BG, EXTENTS, IS_64BIT, FLEX_BG, CSUM_SEED, ENCRYPT = 0x2, 0x10, 0x40, 0x80, 0x200, 0x2000, 0x10000
"""Incompatible features."""
SPARSE_SUPER, LARGE_FILE, HUGE_FILE, DIR_NLINK, EXTRA_ISIZE, METADATA_CSUM = 0x1, 0x2, 0x8, 0x20, 0x40, 0x400
"""Features for which a file system can still be read."""
SUPERBLOCK = Structure(
    "<",
    s_inodes_count="I", s_blocks_count_lo="I", s_r_blocks_count_lo="I", s_free_blocks_count_lo="I",
    s_free_inodes_count="I", s_first_data_block="I", s_log_block_size="I", s_log_cluster_size="I",
    s_blocks_per_group="I", s_clusters_per_group="I", s_inodes_per_group="I", s_mtime="I", s_wtime="I",
    s_mnt_count="H", s_max_mnt_count=("H", 0xFFFF), s_magic=("H", MAGIC), s_state=("H", 1), s_errors=("H", 1),
    s_minor_rev_level="H", s_lastcheck="I", s_checkinterval="I", s_creator_os="I", s_rev_level=("I", 1),
    s_def_resuid="H", s_def_resgid="H", s_first_ino=("I", FIRST_INODE), s_inode_size="H", s_block_group_nr="H",
    s_feature_compat="I", s_feature_incompat="I", s_feature_ro_compat="I", s_uuid="16s", s_volume_name="16s",
    s_last_mounted="64s", s_algorithm_usage_bitmap="I", s_prealloc_blocks="B", s_prealloc_dir_blocks="B",
    s_reserved_gdt_blocks="H", s_journal_uuid="16s", s_journal_inum="I", s_journal_dev="I", s_last_orphan="I",
    s_hash_seed="16s", s_def_hash_version="B", s_jnl_backup_type="B", s_desc_size="H", s_default_mount_opts="I",
    s_first_meta_bg="I", s_mkfs_time="I", s_jnl_blocks="68s", s_blocks_count_hi="I", s_r_blocks_count_hi="I",
    s_free_blocks_count_hi="I", s_min_extra_isize="H", s_want_extra_isize="H", s_flags="I", s_raid_stride="H",
    s_mmp_interval="H", s_mmp_block="Q", s_raid_stripe_width="I", s_log_groups_per_flex="B", s_checksum_type=("B", 1),
    s_reserved_pad="H", s_kbytes_written="Q", s_snapshot_inum="I", s_snapshot_id="I", s_snapshot_r_blocks_count="Q",
    s_snapshot_list="I", s_error_count="I", s_first_error_time="I", s_first_error_ino="I", s_first_error_block="Q",
    s_first_error_func="32s", s_first_error_line="I", s_last_error_time="I", s_last_error_ino="I",
    s_last_error_line="I", s_last_error_block="Q", s_last_error_func="32s", s_mount_opts="64s", s_usr_quota_inum="I",
    s_grp_quota_inum="I", s_overhead_blocks="I", s_backup_bgs="8s", s_encrypt_algos="4s", s_encrypt_pw_salt="16s",
    s_lpf_ino="I", s_prj_quota_inum="I", s_checksum_seed="I", s_reserved="392s", s_checksum="I",
)  # fmt: skip
INODE_UNINIT, BLOCK_UNINIT, INODE_ZEROED = 1, 2, 4
"""Flags of a group: its inode bitmap, its block bitmap are not on the disk; its inode table is zero where unused."""
GROUP = Structure(
    "<",
    bg_block_bitmap_lo="I", bg_inode_bitmap_lo="I", bg_inode_table_lo="I", bg_free_blocks_count_lo="H",
    bg_free_inodes_count_lo="H", bg_used_dirs_count_lo="H", bg_flags="H", bg_exclude_bitmap_lo="I",
    bg_block_bitmap_csum_lo="H", bg_inode_bitmap_csum_lo="H", bg_itable_unused_lo="H", bg_checksum="H",
    bg_block_bitmap_hi="I", bg_inode_bitmap_hi="I", bg_inode_table_hi="I", bg_free_blocks_count_hi="H",
    bg_free_inodes_count_hi="H", bg_used_dirs_count_hi="H", bg_itable_unused_hi="H", bg_exclude_bitmap_hi="I",
    bg_block_bitmap_csum_hi="H", bg_inode_bitmap_csum_hi="H", bg_reserved="I",
)  # fmt: skip
SMALL_GROUP, SMALL_INODE = 32, 128
"""Bytes of a group's descriptor without 64-bit numbers, and of an inode up to i_extra_isize."""
INDEX_FL, EXTENTS_FL, INLINE_DATA_FL = 0x1000, 0x80000, 0x10000000
"""Flags of an inode: a hashed directory; i_block is the root of an extent tree; i_block has content."""
INODE = Structure(
    "<",
    i_mode="H", i_uid="H", i_size_lo="I", i_atime="I", i_ctime="I", i_mtime="I", i_dtime="I", i_gid="H",
    i_links_count="H", i_blocks_lo="I", i_flags="I", l_i_version="I", i_block="60s", i_generation="I",
    i_file_acl_lo="I", i_size_high="I", i_obso_faddr="I", l_i_blocks_high="H", l_i_file_acl_high="H",
    l_i_uid_high="H", l_i_gid_high="H", l_i_checksum_lo="H", l_i_reserved="H", i_extra_isize="H", i_checksum_hi="H",
    i_ctime_extra="I", i_mtime_extra="I", i_atime_extra="I", i_crtime="I", i_crtime_extra="I", i_version_hi="I",
    i_projid="I",
)  # fmt: skip
EXTENT_HEADER = Structure(
    "<", eh_magic=("H", EXTENT_MAGIC), eh_entries="H", eh_max="H", eh_depth="H", eh_generation="I"
)
EXTENT_INDEX = Structure("<", ei_block="I", ei_leaf_lo="I", ei_leaf_hi="H", ei_unused="H")
EXTENT = Structure("<", ee_block="I", ee_len="H", ee_start_hi="H", ee_start_lo="I")
LONGEST_EXTENT = 32768
"""Maximum number of blocks of an extent; ee_len is larger by this where they are allocated and not written."""
DIR_ENTRY = Structure("<", inode="I", rec_len="H", name_len="B", file_type="B")
TAIL_TYPE = 0xDE
DIR_ENTRY_TAIL = Structure(
    "<", det_reserved_zero1="I", det_rec_len="H", det_reserved_zero2="B", det_reserved_ft="B", det_checksum="I"
)
HALF_MD4 = 1
DX_ROOT_INFO = Structure(
    "<", reserved_zero="I", hash_version=("B", HALF_MD4), info_length=("B", 8), indirect_levels="B", unused_flags="B"
)
DX_COUNTLIMIT = Structure("<", limit="H", count="H", block="I")
DX_ENTRY = Structure("<", hash="I", block="I")
XATTR_HEADER = Structure(
    "<", h_magic=("I", XATTR_MAGIC), h_refcount="I", h_blocks=("I", 1), h_hash="I", h_checksum="I", h_reserved="12s"
)
XATTR_ENTRY = Structure(
    "<", e_name_len="B", e_name_index="B", e_value_offs="H", e_value_inum="I", e_value_size="I", e_hash="I"
)
PREFIXES = {"user.": 1, "trusted.": 4, "security.": 6, "system.": 7}
"""e_name_index of the names that start so."""
ACLS = {"system.posix_acl_access": 2, "system.posix_acl_default": 3}
"""e_name_index of whole names: access control lists, which have a form of their own."""
ACL_VERSION, ACL_ELSEWHERE = 1, 2
"""Versions of an access control list: here, and in the extended attribute that programs see."""
ACL_ENTRY, ACL_SHORT_ENTRY = Structure("<", e_tag="H", e_perm="H", e_id="I"), Structure("<", e_tag="H", e_perm="H")
ACL_NAMED = (2, 8)
"""Tags of the entries that have an id: for one user, for one group."""
JOURNAL_SUPERBLOCK = Structure(
    ">",
    h_magic=("I", JOURNAL_MAGIC), h_blocktype=("I", 4), h_sequence="I", s_blocksize="I", s_maxlen="I", s_first="I",
    s_sequence="I", s_start="I", s_errno="I", s_feature_compat="I", s_feature_incompat="I", s_feature_ro_compat="I",
    s_uuid="16s", s_nr_users="I",
)  # fmt: skip
