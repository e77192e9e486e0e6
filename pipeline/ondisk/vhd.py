"""VHD disk images: footer and dynamic disk header. Source: Microsoft, Virtual Hard Disk Image Format Specification."""

from pipeline.ondisk import Structure

COOKIE, DYNAMIC_COOKIE = b"conectix", b"cxsparse"
FIXED, DYNAMIC = 2, 3
NOWHERE, UNUSED = (1 << 64) - 1, 0xFFFFFFFF
"""An offset of nothing; the entry of a block that is not stored."""
FOOTER = Structure(
    ">",
    cookie=("8s", COOKIE), features=("I", 2), file_format_version=("I", 0x00010000), data_offset="Q", time_stamp="I",
    creator_application="4s", creator_version="I", creator_host_os="4s", original_size="Q", current_size="Q",
    disk_geometry="4s", disk_type="I", checksum="I", unique_id="16s", saved_state="B", reserved="427s",
)  # fmt: skip
DYNAMIC_HEADER = Structure(
    ">",
    cookie=("8s", DYNAMIC_COOKIE), data_offset=("Q", NOWHERE), table_offset="Q", header_version=("I", 0x00010000),
    max_table_entries="I", block_size="I", checksum="I", parent_unique_id="16s", parent_time_stamp="I", reserved="I",
    parent_unicode_name="512s", parent_locators="192s", reserved2="256s",
)  # fmt: skip
