"""Hash trees of dm-verity, as veritysetup writes and verifies them."""

import hashlib
import re
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import readers
from pipeline.incremental import compress_blocks
from pipeline.model.tree import Slice, length
from pipeline.ondisk.verity import SUPERBLOCK
from pipeline.readers.view import HostFile
from pipeline.writers import FormatError, verity
from tests.judges import need, run
from tests.writers import samples

SALT = hashlib.sha256(b"node").digest()
DIGEST = hashlib.sha256().digest_size


def tree(store, content, salt=SALT):
    out = store.rope()
    hash_all = partial(compress_blocks, store, f"verity {salt.hex()}", verity.hash_groups(salt))
    root = verity.write(content, salt, hash_all, store.read, out)
    return root, out.finish()


def sparse(store, blocks):
    """A volume of `blocks` blocks: noise, a hole, noise."""
    ends = [
        store.content(samples.noise(count * verity.BLOCK, "end"))
        for count in (min(blocks, 3), max(min(blocks - 3, 2), 0))
    ]
    hole = blocks * verity.BLOCK - sum(map(length, ends))
    return (*ends[0], *((Slice(None, 0, hole),) if hole else ()), *ends[1])


def judged(store, content, folder, salt=SALT):
    """Compares the tree of `content` with veritysetup's; returns the root hash."""
    root, made = tree(store, content, salt)
    store.export(content, folder / "data")
    store.export(made, folder / "tree")
    identity = UUID(bytes=SUPERBLOCK.unpack((folder / "tree").read_bytes()).uuid)
    veritysetup = need("veritysetup", "cryptsetup-bin")
    words = ["--hash=sha256", "--data-block-size=4096", "--hash-block-size=4096", f"--uuid={identity}"]
    printed = run(
        veritysetup, "format", *words, f"--salt={salt.hex() or '-'}", folder / "data", folder / "judge"
    ).stdout
    assert re.search(r"Root hash:\s*(\w+)", printed)[1] == root.hash.hex()
    assert (folder / "judge").read_bytes() == (folder / "tree").read_bytes()
    run(veritysetup, "verify", folder / "data", folder / "tree", root.hash.hex())
    return root


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 16384, 16385])
def test_the_tree_is_veritysetups(store, tmp_path, blocks):
    root = judged(store, sparse(store, blocks), tmp_path)
    assert (root.blocks, root.salt) == (blocks, SALT)
    levels = [1, 128] if blocks == 16384 else [1, 2, 129] if blocks == 16385 else [] if blocks == 1 else None
    if levels is not None:
        assert (tmp_path / "tree").stat().st_size == (1 + sum(levels)) * verity.BLOCK


@pytest.mark.slow
def test_a_gibibyte(store, tmp_path):
    judged(store, sparse(store, (1 << 30) // verity.BLOCK), tmp_path)


@pytest.mark.parametrize("salt", [b"", b"\1", bytes(range(256))])
def test_salts_of_any_length(store, tmp_path, salt):
    judged(store, store.content(samples.noise(200 * verity.BLOCK)), tmp_path, salt)


def test_veritysetup_finds_a_changed_byte(store, tmp_path):
    root = judged(store, store.content(samples.noise(300 * verity.BLOCK)), tmp_path)
    data = bytearray((tmp_path / "data").read_bytes())
    data[299 * verity.BLOCK] ^= 1
    (tmp_path / "data").write_bytes(data)
    with pytest.raises(AssertionError, match="Verification of data area failed"):
        run(need("veritysetup", "cryptsetup-bin"), "verify", tmp_path / "data", tmp_path / "tree", root.hash.hex())


@given(st.lists(st.integers(0, 3), max_size=300))
def test_each_digest_is_that_of_a_block(kinds):
    """The transform, block by block, against its definition."""
    data = [bytes([kind]) * verity.BLOCK for kind in kinds[:128]]
    (made,) = verity.hash_groups(SALT)([b"".join(data)])
    assert len(made) == verity.BLOCK
    for number, block in enumerate(data):
        assert made[number * DIGEST : (number + 1) * DIGEST] == hashlib.sha256(SALT + block).digest()
    assert not made[len(data) * DIGEST :].strip(b"\0")


def test_slices_and_memory_of_earlier_trees_do_not_show(store):
    data = samples.noise(1000 * verity.BLOCK)
    whole = store.content(data)
    parts = [slice_ for start in range(0, len(data), 10_001) for slice_ in store.content(data[start : start + 10_001])]
    made = [tree(store, content) for content in (whole, tuple(parts), whole)]
    assert len({root for root, _ in made}) == 1
    assert len({store.bytes(content) for _, content in made}) == 1


@pytest.mark.parametrize("size", [0, 1, 4095, 4097])
def test_a_root_of_no_whole_blocks_is_refused(store, size):
    with pytest.raises(FormatError, match=f"whole blocks of 4096 bytes, not {size} bytes"):
        tree(store, (Slice(None, 0, size),) if size else ())


def test_too_long_a_salt_is_refused(store):
    with pytest.raises(FormatError, match="a salt of 256 bytes, not 257"):
        tree(store, (Slice(None, 0, 4096),), bytes(257))


def test_identities_are_the_halves_of_the_root_hash():
    root = verity.Root(bytes(range(32)), 1, b"")
    assert list(map(str, root.identities)) == [
        "00010203-0405-0607-0809-0a0b0c0d0e0f", "10111213-1415-1617-1819-1a1b1c1d1e1f",
    ]  # fmt: skip


def test_the_reader_shows_what_the_writer_was_given(store, tmp_path):
    root, content = tree(store, store.content(samples.noise(300 * verity.BLOCK)))
    store.export(content, tmp_path / "tree")
    found = readers.look_into(HostFile(tmp_path / "tree"))
    assert found.structure == "dm-verity"
    properties = found.listing[readers.HEADER].properties
    assert (properties["data blocks"], properties["salt"], properties["algorithm"]) == (300, SALT.hex(), "sha256")
    assert properties["UUID"] == str(root.identities[0])
    assert found.listing["tree"].content.size == 4 * verity.BLOCK
    for size in (0, 511, 1 << 31):
        with (tmp_path / f"damaged-{size}").open("wb") as file:
            file.write(SUPERBLOCK.pack(hash_block_size=size).ljust(verity.BLOCK, b"\0"))
        assert readers.look_into(HostFile(tmp_path / f"damaged-{size}")) is None
