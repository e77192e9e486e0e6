"""squashfs: unsquashfs gives back what was written."""

import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline import readers
from pipeline.model.tree import Directory, File, Slice, Tree, complete
from pipeline.readers.view import HostFile
from pipeline.writers import FormatError, squashfs
from tests.judges import need, needs_root, run
from tests.writers import samples
from tests.writers.test_cpio import compare


def image(store, tree, path, name="zstd:3"):
    out = store.rope()
    superblock = squashfs.write(tree, store.read, out, samples.blocks(store, name))
    store.export(store.content(superblock) + out.finish(), path)
    return path


def unpacked(path, folder):
    options = [] if os.getuid() == 0 else ["-ignore-errors"]
    run(need("unsquashfs", "squashfs-tools"), "-no-progress", *options, "-d", folder, path)
    return folder


@needs_root
@pytest.mark.parametrize("name", ["zstd:3", "zstd:19", "gzip"])
def test_unsquashfs_gives_the_tree_back(store, tmp_path, name):
    tree = samples.special(store, devices=False)
    folder = unpacked(image(store, tree, tmp_path / "image", name), tmp_path / "out")
    compare(store, tree, folder)
    assert os.getxattr(folder / "etc/shadow", "user.b") == bytes(range(256))


def test_unsquashfs_lists_everything(store, tmp_path):
    tree = samples.special(store)
    path = image(store, tree, tmp_path / "image")
    listing = run(need("unsquashfs", "squashfs-tools"), "-lln", "-d", "", path).stdout
    facts = {words[-1]: words for words in map(str.split, listing.splitlines()) if words}
    assert facts["/dev/console"][:4] == ["crw-------", "0/5", "5,", "1"]
    assert facts["/dev/sda300"][0] == "brw-rw----" and facts["/dev/fifo"][0] == "prw-r--r--"
    assert run("unsquashfs", "-s", path).stdout.count("Creation or last append time Tue Jan  1 00:00:00 1980") == 1


@given(samples.random_files())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files):
    tree, folder = samples.stored(store, files), tmp_path_factory.mktemp("squashfs")
    compare(store, tree, unpacked(image(store, tree, folder / "image"), folder / "out"))


def test_large_directories_and_files(store, tmp_path):
    many = {f"directory/a file with the number {number}": [b"%d" % number] for number in range(9000)}
    tree = samples.stored(store, many)
    tree |= samples.stored(store, {"large": [samples.noise(700_000), 3_000_000, b"x" * 1_000_000, 131072, b"end"]})
    compare(store, tree.ordered(), unpacked(image(store, tree.ordered(), tmp_path / "image"), tmp_path / "out"))


def test_a_large_directory_has_an_index(store, tmp_path):
    many = {f"directory/a file with the number {number:04}": [b""] for number in range(9000)}
    path = image(store, samples.stored(store, many), tmp_path / "image")
    found = readers.look_into(HostFile(path)).listing["directory"].place
    assert found["index"] > 9000 * 30 // 8192 / 2  # an entry for most of the blocks that its names fill


def test_equal_files_are_stored_once(store, tmp_path):
    data = samples.noise(1_000_000)
    tree = Tree({str(number): File(0o644, 0, 0, 0, (), store.content(data[:500]) + store.content(data[500:]))
                 for number in range(5)})  # fmt: skip
    tree["6"] = tree["0"]._replace(content=store.content(data))
    path = image(store, tree, tmp_path / "image")
    assert path.stat().st_size < 1_100_000
    compare(store, tree, unpacked(path, tmp_path / "out"))


def test_holes_take_no_space(store, tmp_path):
    tree = Tree({"hole": File(0o644, 0, 0, 0, (), (Slice(None, 0, 5 << 30),))})
    path = image(store, tree, tmp_path / "image")
    assert path.stat().st_size <= 200_000
    assert "5368709120" in run(need("unsquashfs", "squashfs-tools"), "-lln", path).stdout


def test_what_is_below_a_directory_need_not_follow_it(store, tmp_path):
    paths = ["a", "a-b", "a-b/x", "a.d", "a.d/empty", "a/x", "a/x/y", "b"]
    tree = Tree((path, Directory(0o755, 0, 0, 0)) for path in paths)
    tree["a/x/y/end"] = File(0o644, 0, 0, 0, (), store.content(b"end"))
    compare(store, tree.ordered(), unpacked(image(store, tree.ordered(), tmp_path / "image"), tmp_path / "out"))


def test_directories_may_be_deep(store, tmp_path):
    deep = "/".join("d" * 1500)
    path = image(store, complete(samples.stored(store, {f"{deep}/end": [b"end"]})), tmp_path / "image")
    listing = run(need("unsquashfs", "squashfs-tools"), "-l", "-d", "", path).stdout.splitlines()
    assert listing[-1] == f"/{deep}/end" and len(listing) == 1502


def test_attributes_that_it_has_no_place_for_are_refused(store):
    """While threads compress: they end."""
    tree = samples.stored(store, {str(number): [samples.noise(1 << 20, str(number))] for number in range(9)})
    tree["it"] = Directory(0o755, 0, 0, 0, (("system.posix_acl_access", b"x"),))
    before = threading.active_count()
    with pytest.raises(FormatError, match=r"it: .*posix_acl"):
        squashfs.write(complete(tree), store.read, store.rope(), samples.blocks(store, "zstd:3"))
    assert threading.active_count() == before


def test_a_longer_file_moves_no_end_of_another_section(store):
    """Blocks that stay the same are not packed again, so what changes in a service should change its blocks alone."""

    def blocks(config):
        names = [f"containers/services/{name}/{number:03}" for name in "abc" for number in range(300)]
        files = {path: File(0o644, 0, 0, 0, (), store.content(samples.noise(999, path))) for path in names}
        files["containers/services/a/000"] = File(0o644, 0, 0, 0, (), store.content(config))
        seen = []
        packing = samples.blocks(store, "zstd:3")
        made = packing._replace(make=lambda contents: packing.make(seen.append(each) or each for each in contents))
        squashfs.write(complete(Tree(files)), store.read, store.rope(), made)
        return seen

    before, after = blocks(b"short"), blocks(b"much longer" * 100)
    assert len(before) == len(after) == 9
    assert before[3:] == after[3:] and before[0] != after[0]
