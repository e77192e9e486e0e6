"""GUID partition tables: sgdisk finds nothing wrong."""

import json
import uuid

from pipeline.model.tree import Slice
from pipeline.writers import disk, gpt
from tests.judges import need, run
from tests.writers import samples

MIB = 1 << 20


def test_gpt(store, tmp_path):
    content = (*store.content(samples.noise(MIB)), Slice(None, 0, 7 * MIB))
    volumes = [gpt.GptVolume(content, "EFI System", gpt.EFI_SYSTEM)]
    path = samples.written(store, lambda out: gpt.write_disk(volumes, 10 * MIB, out, disk.identity), tmp_path / "disk")
    assert path.stat().st_size == 10 * MIB
    assert "No problems found" in run(need("sgdisk", "gdisk"), "-v", path).stdout
    found = json.loads(run(need("sfdisk", "fdisk"), "--json", path).stdout)["partitiontable"]
    assert found["label"] == "gpt" and found["id"] == str(disk.identity("disk", content)).upper()
    (partition,) = found["partitions"]
    assert (partition["start"], partition["size"], partition["name"]) == (2048, 16384, "EFI System")
    assert uuid.UUID(partition["type"]) == gpt.EFI_SYSTEM
    assert "warning" not in run("sfdisk", "--verify", path).stderr.lower()
