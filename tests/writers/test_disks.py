"""Kinds of disk images: qemu-img finds nothing wrong, and the disk is the one that went in."""

import json
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.tree import Slice, length
from pipeline.writers import disk as disks
from pipeline.writers import qcow2, qcow2compressed, vhd, vhdx, vmdk
from tests.judges import need, run
from tests.writers import samples

KIB = 1 << 10
GIB_IN_KIB = 1 << 20
IDENTITY = uuid.UUID(int=0x1234)
CHECKED = {"qcow2", "vhdx", "vmdk"}
"""The kinds that `qemu-img check` knows how to check."""


def packed(content, store, out, compression):
    body = store.rope()
    out.write(qcow2compressed.write(content, samples.clusters(store, compression), body))
    out.extend(body.finish())


WRITERS = {
    # name, what QEMU calls the kind, writer
    "qcow2": ("qcow2", lambda content, store, out: qcow2.write(content, out)),
    "qcow2 of zstd": ("qcow2", lambda content, store, out: packed(content, store, out, "zstd:1")),
    "vhd": ("vpc", lambda content, store, out: vhd.write_fixed(content, out, IDENTITY)),
    "dynamic-vhd": ("vpc", lambda content, store, out: vhd.write_dynamic(content, out, IDENTITY)),
    "vhdx": ("vhdx", lambda content, store, out: vhdx.write(content, out, disks.identity)),
    "vmdk": ("vmdk", lambda content, store, out: vmdk.write(content, samples.grains(store), out, 1)),
}
SPARSE = [name for name in WRITERS if name != "vhd"]


def disk(store, pieces):
    """Content of holes (sizes in KiB) and data (negative sizes), up to a whole MiB."""
    content = []
    for number, size in enumerate([*pieces, -sum(map(abs, pieces)) % KIB]):
        if size < 0 and number < len(pieces):
            content += store.content(samples.noise(-size * KIB, str(number)))
        elif size:
            content.append(Slice(None, 0, abs(size) * KIB))
    return tuple(content)


def check(store, name, content, folder):
    kind, write = WRITERS[name]
    image = samples.written(store, lambda out: write(content, store, out), folder / "disk")
    raw = folder / "disk.raw"
    store.export(content, raw)
    tool = need("qemu-img", "qemu-utils")
    if kind in CHECKED:
        found = json.loads(run(tool, "check", "-f", kind, "--output=json", image).stdout)
        assert not any(found.get(trouble) for trouble in ("leaks", "corruptions", "check-errors"))
    run(tool, "compare", "-f", kind, "-F", "raw", image, raw)
    assert json.loads(run(tool, "info", "-f", kind, "--output=json", image).stdout)["virtual-size"] == length(content)
    return image


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("pieces", [
    [1024], [-1024], [-1], [1024, -65, 3000, -1, 1], [-100, 5 * GIB_IN_KIB, -100], [600 * 1024, -1, 600 * 1024],
    [-3000, 2047, -1, 2048],
])  # fmt: skip
def test_the_disk_is_the_same(store, tmp_path, name, pieces):
    check(store, name, disk(store, pieces), tmp_path)


@pytest.mark.parametrize("name", WRITERS)
@given(pieces=st.lists(st.integers(-200, 2000).filter(bool), min_size=1, max_size=8))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_disk_is_the_same(store, tmp_path_factory, name, pieces):
    check(store, name, disk(store, pieces), tmp_path_factory.mktemp("disk"))


@pytest.mark.parametrize("name", SPARSE)
def test_holes_take_no_space(store, tmp_path, name):
    content = disk(store, [-1024, 8 * GIB_IN_KIB, -64])
    assert check(store, name, content, tmp_path).stat().st_size <= 6 << 20


@pytest.mark.parametrize("name", ["qcow2", "qcow2 of zstd", "vhd", "dynamic-vhd", "vhdx"])
def test_data_is_not_copied(store, name):
    content = disk(store, [-4096, 512, -4096])
    out = store.rope()
    WRITERS[name][1](content, store, out)
    assert {piece.blob for piece in content if piece.blob} <= {piece.blob for piece in out.finish()}


def test_more_data_than_one_qcow2_refcount_block_counts(store):
    content = (*store.content(samples.noise(KIB)), Slice(None, 0, KIB * 1023)) * 40_000
    out = store.rope()
    qcow2.write(content, out)
    assert length(out.finish()) < 40_000 * 2 * qcow2.CLUSTER


def test_zstd_clusters_are_smaller(store, tmp_path):
    pieces = [samples.noise(KIB, str(number)) * 64 for number in range(400)]  # 64 KiB each, all alike inside
    content = store.content(b"".join(pieces))
    sizes = {name: check(store, name, content, tmp_path).stat().st_size for name in ("qcow2", "qcow2 of zstd")}
    assert sizes["qcow2 of zstd"] * 10 < sizes["qcow2"]


def test_another_tool_knows_a_vhdx(store, tmp_path):
    image = check(store, "vhdx", disk(store, [-300, 3 * GIB_IN_KIB, -70]), tmp_path)
    told = run(need("vhdiinfo", "libvhdi-utils"), image).stdout
    assert "VHDX (version 2)" in told and "Dynamic" in told and "(3222274048 bytes)" in told
