"""qcow2: qemu-img finds nothing wrong, and the disk is the one that went in."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.tree import Slice, length
from pipeline.writers import qcow2
from tests.judges import need, run
from tests.writers import samples

KIB = 1 << 10
BIG = 1 << 30


def disk(store, pieces):
    """Content of holes (sizes in KiB) and data (negative sizes)."""
    content = []
    for number, size in enumerate(pieces):
        content += store.content(samples.noise(-size * KIB, str(number))) if size < 0 else [Slice(None, 0, size * KIB)]
    return tuple(content)


def check(store, content, folder):
    image = samples.written(store, lambda out: qcow2.write(content, out), folder / "disk.qcow2")
    raw = folder / "disk.raw"
    store.export(content, raw)
    tool = need("qemu-img", "qemu-utils")
    found = json.loads(run(tool, "check", "--output=json", image).stdout)
    assert not found.keys() & {"leaks", "corruptions", "check-errors"} or not found.get("leaks", 0)
    assert found["image-end-offset"] == image.stat().st_size
    run(tool, "compare", "-f", "qcow2", "-F", "raw", image, raw)
    assert json.loads(run(tool, "info", "--output=json", image).stdout)["virtual-size"] == length(content)
    return image


@pytest.mark.parametrize("pieces", [
    [64], [-64], [-1], [1024, -65, 3000, -1, 1], [-100, 5 * BIG // KIB, -100], [600 * 1024, -1, 600 * 1024],
])  # fmt: skip
def test_the_disk_is_the_same(store, tmp_path, pieces):
    check(store, disk(store, pieces), tmp_path)


@given(st.lists(st.integers(-200, 2000).filter(bool), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_disk_is_the_same(store, tmp_path_factory, pieces):
    check(store, disk(store, pieces), tmp_path_factory.mktemp("qcow2"))


def test_holes_take_no_space_and_data_is_not_copied(store, tmp_path):
    content = disk(store, [-1024, 40 * BIG // KIB, -64])
    assert check(store, content, tmp_path).stat().st_size < 2 << 20
    out = store.rope()
    qcow2.write(content, out)
    assert {piece.blob for piece in content if piece.blob} <= {piece.blob for piece in out.finish()}


def test_more_data_than_one_refcount_block_counts(store):
    content = (*store.content(samples.noise(KIB)), Slice(None, 0, KIB * 1023)) * 4000
    out = store.rope()
    qcow2.write(content, out)
    assert length(out.finish()) < 4000 * 2 * qcow2.CLUSTER
