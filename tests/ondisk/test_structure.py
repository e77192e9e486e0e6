"""On-disk structures: fields by name, and the sizes that the formats' specifications state."""

import importlib
import struct

import pytest

from pipeline.ondisk import Structure, decode_device, encode_device

EXAMPLE = Structure("<", magic=("4s", b"NODE"), count="H", place="Q", checksum="I")
SIZES = {
    "cpio": {},
    "erofs": {"SUPERBLOCK": 128, "COMPACT": 32, "EXTENDED": 64, "DIRENT": 12, "XATTR_IBODY_HEADER": 12, "LCLUSTER": 8},
    "ext4": {
        "SUPERBLOCK": 1024, "GROUP": 64, "INODE": 160, "EXTENT_HEADER": 12, "EXTENT_INDEX": 12, "EXTENT": 12,
        "DIR_ENTRY_TAIL": 12, "XATTR_HEADER": 32, "XATTR_ENTRY": 16,
    },
    "fat": {"BPB": 36, "BPB32": 28, "BS": 26, "FSINFO": 512, "DIR": 32, "LDIR": 32},
    "gpt": {"HEADER": 92, "ENTRY": 128},
    "iso9660": {
        "VOLUME": 2048, "BOOT_DESCRIPTOR": 2048, "RECORD": 33, "VALIDATION": 32, "BOOT_SECTION": 32, "BOOT_ENTRY": 32,
    },
    "mbr": {"RECORD": 512, "PARTITION": 16},
    "pe": {"DOS": 64, "COFF": 20, "OPTIONAL": 68, "DATA_DIRECTORY": 8, "SECTION": 40},
    "qcow2": {"HEADER": 112},
    "squashfs": {"SUPERBLOCK": 96, "FRAGMENT": 16, "XATTR_ID": 16},
    "vhd": {"FOOTER": 512, "DYNAMIC_HEADER": 1024},
    "vhdx": {"IDENTIFIER": 520, "HEADER": 80, "REGION_TABLE": 16, "REGION": 32, "METADATA_TABLE": 32, "METADATA": 32},
    "vmdk": {"HEADER": 79, "GRAIN": 12, "MARKER": 16},
}  # fmt: skip


def test_fields_are_packed_by_name_in_the_order_of_the_structure():
    assert EXAMPLE.pack(place=3, count=2) == b"NODE" + struct.pack("<HQI", 2, 3, 0)


def test_what_was_packed_is_unpacked_wherever_it_lies():
    record = EXAMPLE.unpack(b"before" + EXAMPLE.pack(count=5, checksum=7) + b"behind", len(b"before"))
    assert (record.magic, record.count, record.place, record.checksum) == (b"NODE", 5, 0, 7)
    assert [each.count for each in EXAMPLE.iter_unpack(EXAMPLE.pack(count=1) + EXAMPLE.pack(count=2))] == [1, 2]


def test_a_patch_changes_its_fields_alone():
    data = bytearray(b"before" + EXAMPLE.pack(count=5))
    EXAMPLE.patch(data, len(b"before"), checksum=9, place=1)
    assert data == b"before" + EXAMPLE.pack(count=5, place=1, checksum=9)


def test_few_fields_are_taken_out_of_many_records():
    rows = EXAMPLE.pack(count=1, checksum=2) + EXAMPLE.pack(count=3, checksum=4)
    assert list(EXAMPLE.only("count", "checksum").iter_unpack(rows)) == [(1, 2), (3, 4)]


@pytest.mark.parametrize(("fields", "error"), [({"kount": 1}, TypeError), ({"count": 1 << 16}, struct.error)])
def test_a_field_that_does_not_exist_or_fit_is_refused(fields, error):
    with pytest.raises(error):
        EXAMPLE.pack(**fields)


@pytest.mark.parametrize("name", SIZES)
def test_structures_have_the_sizes_of_their_specification(name):
    module = importlib.import_module(f"pipeline.ondisk.{name}")
    assert {structure: getattr(module, structure).size for structure in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize(("major", "minor"), [(5, 1), (259, 300), (0xFFF, 0xFFFFF), (8, 256)])
def test_a_device_keeps_its_numbers_in_32_bits(major, minor):
    assert decode_device(encode_device(major, minor)) == (major, minor)
