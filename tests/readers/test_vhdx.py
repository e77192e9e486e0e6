"""VHDX: where its structures are damaged, the reader says that it knows nothing, or reads what is there."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import readers
from pipeline.model.tree import Slice
from pipeline.readers import vhdx as reader
from pipeline.readers.view import BytesView, HostFile
from pipeline.store import Store
from pipeline.writers import disk, vhdx
from tests.writers import samples

KIB, MIB = 1 << 10, 1 << 20
AREAS = [
    (0, 16), (64 * KIB, 80), (128 * KIB, 80), (192 * KIB, 80),
    (2 * MIB, 192), (2 * MIB + 64 * KIB, 40), (3 * MIB, 64),
]  # fmt: skip
"""Where there is something to be damaged: identifier, headers, regions, metadata and its values, block table."""


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    content = (*store.content(samples.noise(MIB)), Slice(None, 0, 3 * MIB), *store.content(samples.noise(MIB, "b")))
    path = tmp_path_factory.mktemp("vhdx") / "image"
    samples.written(store, lambda out: vhdx.write(content, out, disk.identity), path)
    return path


def test_what_it_says(image):
    listing = readers.look_into(HostFile(image)).listing
    facts = listing[""].properties
    assert (facts["size"], facts["block"], facts["sector"]) == (5 * MIB, MIB, 512)
    assert len({facts["identity"], facts["file"], facts["data"]}) == 3
    assert listing["disk"].content.read(4 * MIB, 100) == samples.noise(MIB, "b")[:100]


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_survived(image, data):
    damaged = bytearray(image.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start, size = data.draw(st.sampled_from(AREAS))
        damaged[start + data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    opened = readers.look_into(BytesView(bytes(damaged)))
    if opened and "disk" in opened.listing:
        content = opened.listing["disk"].content
        assert len(content.read(0, MIB)) <= min(MIB, content.size)


@pytest.mark.parametrize(("place", "value", "size"), [
    (2 * MIB + 64 * KIB + 8, 1 << 60, 8),  # the disk is larger than any
    (2 * MIB + 64 * KIB, 1 << 30, 4),  # so are its blocks
    (2 * MIB + 64 * KIB + 4, 2, 4),  # it has a parent
    (3 * MIB, 7, 8),  # half of a block is a parent's
    (128 * KIB + 48, 1, 8),  # the log is not empty
])  # fmt: skip
def test_what_it_does_not_know_is_refused(image, place, value, size):
    damaged = bytearray(image.read_bytes())
    damaged[place : place + size] = value.to_bytes(size, "little")
    with pytest.raises((readers.StructureError, struct.error)):
        reader.read(BytesView(bytes(damaged)))
