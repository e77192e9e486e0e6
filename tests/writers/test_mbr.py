"""Boot records: sfdisk reads them."""

import json
import os

import pytest

from pipeline.ondisk.mbr import FAT, LINUX
from pipeline.writers import mbr
from tests.judges import need, run


@pytest.mark.parametrize("sectors", [4096, 1 << 24, 1 << 31])
def test_mbr(tmp_path, sectors):
    parts = [mbr.MbrPartition(2048, sectors, FAT[32], active=True), mbr.MbrPartition(2048 + sectors, 99, LINUX)]
    path = tmp_path / "disk"
    path.write_bytes(mbr.record(parts, 0x1234ABCD))
    os.truncate(path, (sectors + 4096) * 512)
    found = json.loads(run(need("sfdisk", "fdisk"), "--json", path).stdout)["partitiontable"]
    assert found["id"] == "0x1234abcd"
    assert [(row["start"], row["size"], row["type"]) for row in found["partitions"]] == [
        (2048, sectors, "c"), (2048 + sectors, 99, "83"),
    ]  # fmt: skip
