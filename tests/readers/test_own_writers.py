"""A reader gives back the tree that our own writer of the same structure was given."""

from functools import partial

import pytest

from pipeline import readers
from pipeline.inspect import listings
from pipeline.model.tree import File, Slice, Tree, length
from pipeline.readers.view import HostFile, chunks, first_unequal
from pipeline.store import Store
from pipeline.writers import cpio, disk, erofs, ext4, fat, gpt, iso9660, squashfs, tar
from tests.writers import samples
from tests.writers.test_disks import WRITERS


@pytest.fixture(scope="module")
def store(session_store: Store) -> Store:
    return session_store


def written(store, path, write):
    out = store.rope()
    write(out)
    store.export(out.finish(), path)
    opened = readers.look_into(HostFile(path))
    assert opened is not None
    return opened.listing


def without(tree, *what):
    """The tree without what a structure cannot say: `xattrs`, hard links (`inode`)."""
    entries = {path: entry for path, entry in tree.items() if path}
    if "inode" in what:
        entries = {path: e._replace(inode="") if type(e) is File else e for path, e in entries.items()}
    if "xattrs" in what:
        entries = {path: e._replace(xattrs=()) for path, e in entries.items()}
    return Tree(entries)


def check(store, tree, listing, unsaid=()):
    expected = listings.of_tree(store, tree)
    assert {path for path in listing if path not in ("", ".")} == set(expected) - {"."}
    for path, node in expected.items():
        found = listing[path]
        if found.kind == "link":  # tar's words for further names of a file
            continue
        assert found.kind == node.kind, path
        for field, value in node.properties.items():
            if field not in ("linked as", "device", *unsaid) and not (field == "mode" and node.kind == "symlink"):
                assert str(found.properties[field]) == str(value), (path, field)
        if node.content is not None:
            assert first_unequal(found.content, node.content) is None, path


def test_cpio(store, tmp_path):
    tree = without(samples.special(store), "xattrs")
    check(store, tree, written(store, tmp_path / "a", lambda out: cpio.write(tree, out)))


def test_tar(store, tmp_path):
    tree = without(samples.special(store), "xattrs")
    check(store, tree, written(store, tmp_path / "a", lambda out: tar.write(tree, out)))


@pytest.mark.parametrize("name", ["zstd:3", "gzip"])
def test_squashfs(store, tmp_path, name):
    tree = samples.special(store)
    out = store.rope()
    superblock = squashfs.write(tree, store.read, out, samples.blocks(store, name))
    store.export(store.content(superblock) + out.finish(), tmp_path / "a")
    opened = readers.look_into(HostFile(tmp_path / "a"))
    assert opened.structure == "squashfs"
    check(store, without(tree), opened.listing)


@pytest.mark.parametrize("level", [None, 9])
def test_erofs(store, tmp_path, level):
    tree = Tree(samples.special(store))
    bottles = b"".join(b"%d bottles\n" % number for number in range(90_000))
    shared = (("user.a", b"1"), ("user.b", b"2"))
    tree |= {
        "mixed": File(0o644, 70_000, 0, 5, shared, store.content(samples.noise(300_001) + bottles)),
        "shared": File(0o644, 0, 0, 5, shared, store.content(bottles)),
        "sparse": File(0o644, 0, 0, 5, (), (*store.content(b"x"), Slice(None, 0, 70_000_000), *store.content(b"end"))),
    }
    out = store.rope()
    first = erofs.write(tree.ordered(), store.read, out, samples.lz4(store, level))
    store.export(store.content(first) + out.finish(), tmp_path / "a")
    opened = readers.look_into(HostFile(tmp_path / "a"))
    assert opened.structure == "erofs"
    check(store, without(tree.ordered()), opened.listing)


def test_ext4(store, tmp_path):
    tree = samples.special(store)
    listing = written(store, tmp_path / "a", lambda out: ext4.write(tree, samples.keep(store), out, label="ROOT"))
    assert "lost+found" in listing
    check(store, without(tree), {path: node for path, node in listing.items() if path != "lost+found"})


def test_a_file_in_ext4_on_a_disk(store, tmp_path):
    tree, volume = samples.special(store), store.rope()
    ext4.write(tree, samples.keep(store), volume)
    content = volume.finish()
    volumes = [gpt.GptVolume(content, name, gpt.LINUX_DATA) for name in ("one", "two")]
    partitions = written(
        store, tmp_path / "a", lambda out: gpt.write_disk(volumes, length(content) * 2 + (2 << 20), out, disk.identity)
    )
    opened = readers.look_into(partitions["partition 2"].content)
    assert opened.structure == "ext4"
    assert first_unequal(opened.listing["bin/su"].content, listings.of_content(store, tree["bin/su"].content)) is None


def test_iso9660(store, tmp_path):
    tree = without(samples.special(store), "xattrs", "inode")
    plan = iso9660.plan(tree, samples.keep(store))
    check(store, tree, written(store, tmp_path / "a", lambda out: iso9660.write(plan, out, "NODE")), ("mtime",))


def test_fat(store, tmp_path):
    tree = samples.plain(store)
    plan = fat.plan(tree)
    boot = fat.boot_sector(plan, "NODE", 0x1234ABCD, 0)
    listing = written(store, tmp_path / "a", lambda out: fat.write(plan, out, "NODE", boot))
    assert listing[""].properties["serial"] == "1234abcd"
    for path, entry in tree.items():
        if type(entry) is File:
            assert b"".join(chunks(listing[path].content)) == samples.read(store, entry.content), path


@pytest.mark.parametrize("kind", ["qcow2", "qcow2 of zstd", "vhd", "dynamic-vhd", "vhdx", "vmdk"])
def test_disk_images(store, tmp_path, kind):
    content = (
        *store.content(samples.noise(100 << 10)), Slice(None, 0, 5 << 20), *store.content(samples.noise(70 << 10, "b")),
    )  # fmt: skip
    content += (Slice(None, 0, -length(content) % (1 << 20)),)
    write = partial(WRITERS[kind][1], content, store)
    disk = written(store, tmp_path / "a", write)["disk"].content
    assert first_unequal(disk, listings.of_content(store, content)) is None


def test_a_tree_in_the_store(store):
    tree = samples.special(store)
    opened = readers.look_into(listings.of_blob(store, store.put_tree(tree)))
    assert opened.structure == "tree"
    assert len(opened.listing) == len(tree)
