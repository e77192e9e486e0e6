"""Disks as .zst and .gz files: others' tools unpack them, and what comes out is the disk."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import formats, readers
from pipeline.incremental import open_store
from pipeline.model.tree import Slice, files, length
from pipeline.readers.view import HostFile, first_unequal
from pipeline.stages import compressed_disk
from pipeline.store import Missing
from tests.formats import node
from tests.judges import need, run
from tests.writers import samples

TOOLS = {"zst": ("zstd", "zstd"), "gz": ("gzip", "gzip")}
MIB = 1 << 20


@pytest.fixture(scope="session")
def store(session_store):
    return session_store


def disk(store, *sizes):
    """Data (positive numbers of MiB) and holes (negative), and half a MiB of both at the end."""
    content = ()
    for number, size in enumerate(sizes):
        data = samples.noise(1 << 20, str(number)) + samples.noise(1000, str(number)) * 1000
        content += store.content((data * size)[: size * MIB]) if size > 0 else (Slice(None, 0, -size * MIB),)
    return (*content, *store.content(b"end" * 1000), Slice(None, 0, MIB - 3000))


def made(store, content, ending, **options):
    result = getattr(compressed_disk, ending)(store, store.put_tree(files([("-disk.img", content)])), **options)
    return store.tree(result)[f"-disk.img.{ending}"].content


@pytest.mark.parametrize("ending", formats.ENDINGS)
@pytest.mark.parametrize("sizes", [(1,), (-1,), (3, -200, 70, -1, 2, -64), (-300, 5)])
def test_the_disk_comes_back(store, tmp_path, ending, sizes):
    content = disk(store, *sizes)
    tool = need(*TOOLS[ending])
    path = tmp_path / f"disk.{ending}"
    store.export(made(store, content, ending), path)
    run(tool, "-t", path)
    unpacked = subprocess.run([tool, "-dc", path], capture_output=True, check=True).stdout
    assert hashlib.sha256(unpacked).digest() == hashlib.sha256(samples.read(store, content)).digest()
    inside = readers.look_into(HostFile(path))
    assert inside.structure == "archives" and inside.listing["archive 1"].content.size == length(content)
    store.export(content, tmp_path / "disk")
    assert first_unequal(inside.listing["archive 1"].content, HostFile(tmp_path / "disk")) is None


def test_members_that_are_there_are_used_and_make_no_difference(tmp_path):
    store = open_store(tmp_path / "store")
    start = store.content(samples.noise(5 * MIB, "start"))
    first, second = (start + store.content(samples.noise(MIB, end)) for end in ("one", "another"))
    before = {piece.blob for piece in made(store, first, "gz")}
    store.path(start[0].blob).rename(tmp_path / "away")
    with pytest.raises(Missing):
        made(open_store(store.root), second, "gz")  # of the third member the end is another: it has to be read
    (tmp_path / "away").rename(store.path(start[0].blob))
    known = made(store, second, "gz")
    assert len(before & {piece.blob for piece in known}) == 2
    (lost,) = {piece.blob for piece in known} - before
    store.path(lost).unlink()
    assert made(store, second, "gz") == known and store.has(lost)
    fresh = open_store(tmp_path / "fresh")
    for piece in second:
        fresh.put(store.get(piece.blob))
    assert made(fresh, second, "gz") == known


@pytest.mark.parametrize("ending", formats.ENDINGS)
def test_holes_are_cheap(store, ending):
    content = made(store, disk(store, 1, -100 * 1024, 1), ending)
    own = {piece.blob for piece in content}
    assert len(own) <= 4 and length(content) < 110 * MIB
    assert len(set(content)) < 12, "100 GiB are one hole, again and again"
    assert len(content) < 100 * 1024 // 64 + 12


def test_a_level_counts_for_its_own_kind(store):
    content = store.content(b"".join(b"%d " % (number * number) for number in range(200_000)))
    sizes = {level: length(made(store, content, "zst", compress=level)) for level in ("zstd:1", "zstd:19", "gzip:1")}
    assert sizes["gzip:1"] == length(made(store, content, "zst")) and len(set(sizes.values())) == 3
    assert length(made(store, content, "gz", compress="gzip:12")) < length(made(store, content, "gz"))


@pytest.mark.parametrize("ending", formats.ENDINGS)
def test_bytes_do_not_depend_on_the_number_of_processors(tmp_path, ending):
    script = f"""
import sys; from pathlib import Path; from pipeline.incremental import open_store
from tests.stages import test_compressed_disk as t
store = open_store(Path(sys.argv[1])); print(t.made(store, t.disk(store, 40, -3, 40), {ending!r}))
"""
    root = Path(formats.__file__).parents[2]

    def one() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    told = [
        subprocess.run([sys.executable, "-c", script, tmp_path / str(number)], cwd=root, preexec_fn=limit,
                       capture_output=True, text=True, check=True).stdout
        for number, limit in enumerate((None, one))
    ]  # fmt: skip
    assert told[0] == told[1] and "sha256" in told[0]


def test_every_disk_has_a_compressed_form():
    assert {"raw-bios", "raw-efi", "raw-hybrid", "qcow2-efi", "vhdx", "iso-hybrid"} <= {
        name.removesuffix(".zst") for name in formats.compressed()
    }
    for name in formats.compressed():
        found, base = formats.find(name), formats.find(name.rpartition(".")[0])
        assert name == found.name and found.needs == (formats.Output(base.name),) and not formats.known(f"{name}.gz")
        assert (f"{base.produces[0]}.{name.rpartition('.')[2]}",) == found.produces
        assert found.build.__module__ == compressed_disk.__name__


@pytest.mark.parametrize("name", ["tar.zst", "kernel+initrd.gz", ".zst", "raw-bios.xz", "raw-bios.zst.gz"])
def test_what_is_no_disk_has_none(name):
    assert not formats.known(name)
    with pytest.raises(KeyError):
        formats.find(name)


@pytest.mark.parametrize("name", ["raw-efi.zst", "raw-bios.gz"])
def test_the_node_s_disk(store, tmp_path, name):
    base, _, ending = name.rpartition(".")
    known = node.products(store)
    ((suffix, plain),) = store.tree(node.make(store, base, known)).items()
    path = node.output(store, node.make(store, name, known), f"{suffix}.{ending}", tmp_path)
    unpacked = subprocess.run([need(*TOOLS[ending]), "-dc", path], capture_output=True, check=True).stdout
    assert hashlib.sha256(unpacked).digest() == hashlib.sha256(samples.read(store, plain.content)).digest()
