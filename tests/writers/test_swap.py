"""Swap areas, as swapon(8) takes them."""

import uuid

import pytest

from pipeline.model.tree import length
from pipeline.writers import FormatError, swap
from tests.judges import need, run

IDENTITY = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")


def area(store, size, label="swap"):
    out = store.rope()
    swap.write(size, out, label, IDENTITY)
    return out.finish()


def test_blkid_reads_label_and_identity(store, tmp_path):
    content = area(store, 1 << 20)
    assert length(content) == 1 << 20
    store.export(content, tmp_path / "swap")
    said = run(need("blkid", "util-linux"), "-p", tmp_path / "swap").stdout
    assert 'LABEL="swap"' in said and f'UUID="{IDENTITY}"' in said and 'TYPE="swap"' in said


@pytest.mark.parametrize("size, label", [(4096 * 9, "x"), (1 << 50, "x"), (1 << 20, "a" * 16), (1 << 20, "ä" * 8)])
def test_what_the_kernel_does_not_take_is_refused(store, size, label):
    with pytest.raises(FormatError):
        area(store, size, label)
