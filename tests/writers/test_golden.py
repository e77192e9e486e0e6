"""Golden digests: a writer whose bytes change gets another VERSION, and this list another line."""

import hashlib
from functools import partial

import pytest

from pipeline.compression import compress
from pipeline.incremental import compress_blocks
from pipeline.model.tree import Slice, files, length
from pipeline.stages import compressed_disk
from pipeline.writers import (
    cpio,
    disk,
    erofs,
    ext4,
    fat,
    gpt,
    iso9660,
    mbr,
    qcow2,
    qcow2compressed,
    squashfs,
    swap,
    tar,
    verity,
    vhd,
    vhdx,
    vmdk,
)
from tests.writers import samples


def _fat(store, out):
    plan = fat.plan(samples.plain(store))
    fat.write(plan, out, "NODE", fat.boot_sector(plan, "NODE", 1, 2048))


def _compressed(name):
    def write(store, out):
        data = samples.noise(100_000) + bytes(1_000_000)
        with compress.compressor(compress.parse(name), len(data), out, store.read) as sink:
            sink.write(data)

    return write


def _disk(store):
    return (
        samples.plain(store)["boot/kernel"].content
        + samples.plain(store)["holes.img"].content
        + (Slice(None, 0, (2 << 20) - 700_004),)
    )


def _qcow2_of_zstd(store, out):
    body = store.rope()
    content = (*_disk(store), *store.content(b"alike" * 100_000))
    out.write(qcow2compressed.write(content, samples.clusters(store, "zstd:3"), body))
    out.extend(body.finish())


def _packed(stage):
    def write(store, out):
        disk = (*_disk(store), Slice(None, 0, 66 << 20), *_disk(store))
        ((_, entry),) = store.tree(stage(store, store.put_tree(files([("", disk)])))).items()
        out.extend(entry.content)

    return write


LEVELS = {"zstd": "zstd:12", "gzip": "gzip:6"}
"""Spelled out, so that another default is no other golden digest."""


def _blocks(store, out):
    """Blocks of every level: words in a disorder, so that another search finds something else."""
    words = [samples.noise(9, str(number)) for number in range(256)]
    data = b"".join([words[number] for number in samples.noise(12_000)])
    for level in range(1, 23):
        for block in compress.block_compressor(compress.Compression("zstd", level))([data, data[1000:60_000]]):
            out.write(bytes(block))


def _squashfs(name):
    def write(store, out):
        packing = samples.blocks(store, LEVELS[name])
        out.write(squashfs.write(samples.special(store), store.read, out, packing))

    return write


def _erofs(level):
    def write(store, out):
        tree = samples.special(store)
        out.write(erofs.write(tree, store.read, out, samples.lz4(store, level)))

    return write


def _ext4(store, out):
    ext4.write(samples.special(store), samples.keep(store), out, None, "ROOT")


def _verity(store, out):
    content = store.content(samples.noise(300 * verity.BLOCK))
    hash_all = partial(compress_blocks, store, "verity golden", verity.hash_groups(b"salt"))
    verity.write(content, b"salt", hash_all, store.read, out)


WRITERS = {
    f"cpio {cpio.VERSION}": lambda store, out: cpio.write(samples.special(store), out),
    f"tar {tar.VERSION}": lambda store, out: tar.write(samples.special(store), out),
    f"fat {fat.VERSION}": _fat,
    f"qcow2 {qcow2.VERSION}": lambda store, out: qcow2.write(samples.plain(store)["holes.img"].content, out),
    f"ext4 {ext4.VERSION}": _ext4,
    f"ext4 with a journal {ext4.VERSION}": lambda store, out: ext4.write(
        {}, samples.keep(store), out, 200 << 20, "DATA", journal=True
    ),
    f"iso9660 {iso9660.VERSION}": lambda store, out: iso9660.write(
        iso9660.plan(samples.special(store), samples.keep(store)), out, "NODE"
    ),
    f"squashfs of zstd {squashfs.VERSION}": _squashfs("zstd"),
    f"squashfs of gzip {squashfs.VERSION}": _squashfs("gzip"),
    f"erofs {erofs.VERSION}": _erofs(None),
    f"erofs {erofs.VERSION} lz4-{compress.LZ4}": _erofs(9),
    f"vhd {vhd.VERSION}": lambda store, out: vhd.write_fixed(_disk(store), out, disk.identity("vhd")),
    f"dynamic vhd {vhd.VERSION}": lambda store, out: vhd.write_dynamic(_disk(store), out, disk.identity("vhd")),
    f"vhdx {vhdx.VERSION}": lambda store, out: vhdx.write(_disk(store), out, disk.identity),
    f"qcow2 of zstd {qcow2compressed.VERSION}": _qcow2_of_zstd,
    f"swap {swap.VERSION}": lambda store, out: swap.write(1 << 20, out, "SWAP", disk.identity("swap")),
    f"zst of a disk {compressed_disk.VERSION}": _packed(compressed_disk.zst),
    f"gz of a disk {compressed_disk.VERSION}": _packed(compressed_disk.gz),
    f"vmdk {vmdk.VERSION} {compress.VERSION}": lambda store, out: vmdk.write(
        _disk(store), samples.grains(store), out, 1
    ),
    f"verity {verity.VERSION}": _verity,
    f"gpt {gpt.VERSION}": lambda store, out: gpt.write_disk(
        [gpt.GptVolume(_disk(store), "EFI System", gpt.EFI_SYSTEM)],
        length(_disk(store)) + (2 << 20),
        out,
        lambda purpose, _: disk.identity(purpose),
    ),
    f"mbr {mbr.VERSION}": lambda store, out: out.write(
        mbr.record([mbr.MbrPartition(2048, 4096, 0x0C, True)], 1, b"code")
    ),
    f"zstd {compress.VERSION}": _compressed("zstd"),
    f"zstd:19 {compress.VERSION}": _compressed("zstd:19"),
    f"gzip {compress.VERSION}": _compressed("gzip"),
    f"blocks of zstd {compress.VERSION}": _blocks,
}
GOLDEN = {
    "cpio 2": "141d3a7e7814b7f73b8b02d0cbff786f9b182784b50162b0aa7cbd2271e54943",
    "tar 1": "f5bfaa5c1053efc10108bbd5861c7674f819c0ee6044a9ca60f3b7e0a0d00435",
    "fat 1": "b8af61bc3703129485fe1e683ee8f67eaa16af07ae7f8c2fe56fb10733498756",
    "qcow2 1": "f0ffb8cda075f63d7d88a2c918c583b5644d9fa59733cd34463697a5b018f926",
    "ext4 4": "ff56257bb198da49456906b600aa8ca8c10ad7fd346a7cd2f44f6f8747d58e49",
    "ext4 with a journal 4": "ce187ac57e3d75997aa66df1a101846642cfe82cc0c6431a8654b3dc75f952c2",
    "iso9660 4": "7d5dc5c871b47a6e6b3f0e18516d21367f363d74d868cb8947276f94dceecec7",
    "squashfs of zstd 4": "9423f87bec179401dcf199270af63857e3c73f4ae5cf9efff7bee287b4d2d5f9",
    "squashfs of gzip 4": "e935069e6e3a13ad1cff9e3d422360d06b77c73082aa298d39577337861edec2",
    "erofs 2": "da6b3c690515fc6c09c9e9d5063487ca7f39468a32ae477d6ef222a2bb1a1165",
    "erofs 2 lz4-4.4.5": "c732b54e0d283c1cae59ede310077315413b84a81848aeead46b52d78e82492f",
    "vhd 1": "c4f1aecc72e3622ee56f6e1c5b1ccb94d62d218ab3a107297a404cc838d8f167",
    "dynamic vhd 1": "c41db53baacf3a79e372ac19d1ec19cd66b520a0f74174bfbf90a2d996809a5c",
    "vmdk 3 4 zstandard-0.25.0 deflate-0.9.0": "772856da12f43761a5c90cdc8c63bd543843654a438b530af68c1b247725121f",
    "vhdx 1": "deea099cc657206eac05caea86e3ff65206ace85deebadf1cb7261e317a5c0df",
    "qcow2 of zstd 2": "4fe3ebc3053abc130a62cc763a593769d3a98388a97b2beabd28a7a041216093",
    "swap 1": "90f559377d88b352839163ae258ebc2d1c163814072fb855c136fb0003db8e3d",
    "verity 1": "c9a37eaa12f02ee6c32d676ba320b00e9ea0cea562f558c125e67c29a5329b95",
    "zst of a disk 3 4 zstandard-0.25.0 deflate-0.9.0 deflated-2": "0f956591152823577af5fd97542a319e6f5e299a321b670a1a89afdb394dc132",
    "gz of a disk 3 4 zstandard-0.25.0 deflate-0.9.0 deflated-2": "8e97c27248b385d9328663b03d28996bea1a2b620225314976d1038cdc5ebcc1",
    "gpt 1": "b594a5dedf402e7dec14b16b8532b9f89d37884aa9afd9e0feb5ec551b40230f",
    "mbr 1": "631959196d8762b481d7bc6b4b3f83628de5d7b042e69856589751456de17295",
    "zstd 4 zstandard-0.25.0 deflate-0.9.0": "baf6b74bbebd42af1bd1752a7ae15dd2b145ed282ae6f17b2cc255982ea7a56b",
    "zstd:19 4 zstandard-0.25.0 deflate-0.9.0": "f2b541c10df3c5a7e170e64715e6494c3ae6387a1d675ebdce8612884a6fae75",
    "gzip 4 zstandard-0.25.0 deflate-0.9.0": "27ece3f4ec7a4abeae969540daaad3e048f8ec536603be7ce291e6c0842f4a85",
    "blocks of zstd 4 zstandard-0.25.0 deflate-0.9.0": "11df58f4dc39508d6afab5a182d93f56e5241b22619fd30bab707201fe311ce9",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_bytes_of(store, writer):
    out = store.rope()
    WRITERS[writer](store, out)
    found = hashlib.sha256(samples.read(store, out.finish())).hexdigest()
    assert found == GOLDEN.get(writer), f'the new line is "{writer}": "{found}"'
