"""Golden digests: a writer whose bytes change gets another VERSION, and this list another line."""

import hashlib

import pytest

from pipeline import compress
from pipeline.writers import cpio, fat, qcow2, tar
from tests.writers import samples


def _fat(store, out):
    plan = fat.plan(samples.plain(store))
    fat.write(plan, out, "NODE", fat.boot_sector(plan, "NODE", 1, 2048))


def _compressed(name):
    def write(store, out):
        data = samples.noise(100_000) + bytes(1_000_000)
        with compress.compressing(compress.parse(name), len(data), out, store.read) as sink:
            sink.write(data)

    return write


WRITERS = {
    f"cpio {cpio.VERSION}": lambda store, out: cpio.write(samples.special(store), out),
    f"tar {tar.VERSION}": lambda store, out: tar.write(samples.special(store), out),
    f"fat {fat.VERSION}": _fat,
    f"qcow2 {qcow2.VERSION}": lambda store, out: qcow2.write(samples.plain(store)["holes.img"].content, out),
    f"zstd {compress.VERSION}": _compressed("zstd"),
    f"gzip {compress.VERSION}": _compressed("gzip"),
}
GOLDEN = {
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_bytes_of(store, writer):
    out = store.rope()
    WRITERS[writer](store, out)
    found = hashlib.sha256(samples.read(store, out.finish())).hexdigest()
    assert found == GOLDEN.get(writer), f'the new line is "{writer}": "{found}"'
