"""Sizes of disks."""

import pytest

from pipeline.writers import FormatError, disk

MIB = 1 << 20


@pytest.mark.parametrize(("text", "size"), [(None, None), ("1024", 1 << 30), (300, 300 * MIB), ("2G", 2 << 30)])
def test_sizes(text, size):
    assert disk.size(text) == size


@pytest.mark.parametrize("text", ["", "0", "1M", "-5G", "5K", "1.5G", "9999999T", "3T", "x", True])
def test_other_sizes_are_refused(text):
    with pytest.raises(FormatError, match="size"):
        disk.size(text)
