"""cpio: GNU cpio reads back what was written."""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.model.tree import Device, Directory, File, Slice, Symlink, Tree
from pipeline.writers import FormatError, cpio
from tests.judges import need, run
from tests.writers import samples


def archive(store, tree, path):
    return samples.written(store, lambda out: cpio.write(tree, out), path)


def unpacked(path, folder, umask="000"):
    folder.mkdir()
    need("cpio")
    run("sh", "-c", f"umask {umask}; cpio --quiet -idm --no-absolute-filenames < {path}", cwd=folder)
    return folder


def compare(store, tree, folder):
    """Every entry of `tree` as the host's file system has it."""
    for path, entry in tree.items():
        place = os.path.join(os.fsencode(folder), os.fsencode(path))
        found = os.lstat(place)
        if type(entry) is File:
            assert open(place, "rb").read() == samples.read(store, entry.content), path
            if entry.inode:
                assert found.st_ino == os.lstat(os.path.join(os.fsencode(folder), os.fsencode(entry.inode))).st_ino
        if type(entry) is Symlink:
            assert os.readlink(place) == os.fsencode(entry.target)
        elif path:
            special = 0o7777 if os.getuid() == 0 else 0o777
            assert found.st_mode & special == entry.mode & special, path
            assert type(entry) is Directory or found.st_mtime == entry.mtime
        if os.getuid() == 0:
            assert (found.st_uid, found.st_gid) == (entry.uid, entry.gid)


def test_gnu_cpio_gives_the_tree_back(store, tmp_path):
    tree = samples.special(store, devices=False)
    compare(store, tree, unpacked(archive(store, tree, tmp_path / "a.cpio"), tmp_path / "out"))


def test_gnu_cpio_lists_devices(store, tmp_path):
    path = archive(store, samples.special(store), tmp_path / "a.cpio")
    need("cpio")
    lines = run("sh", "-c", f"cpio --quiet -itvn < {path}").stdout.splitlines()
    facts = {words[-1]: words for words in map(str.split, lines) if words}
    assert facts["dev/console"][:6] == ["crw-------", "1", "0", "5", "5,", "1"]
    assert facts["dev/sda300"][4:6] == ["259,", "300"] and facts["dev/sda300"][0][0] == "b"
    assert facts["dev/fifo"][0][0] == "p"
    assert facts["bin/same-a"][1] == "3"


@given(samples.random_files())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files):
    tree, folder = samples.stored(store, files), tmp_path_factory.mktemp("cpio")
    path = archive(store, tree, folder / "a.cpio")
    compare(store, tree, unpacked(path, folder / "out", umask="022"))
    assert path.stat().st_size == cpio.size(tree)


def test_an_archive_may_follow_another(store, tmp_path):
    path = archive(store, samples.special(store), tmp_path / "a.cpio")
    assert path.stat().st_size % 4 == 0 == path.stat().st_size - cpio.size(samples.special(store))


def test_times_outside_the_field_are_moved_to_its_ends(store, tmp_path):
    tree = Tree({"a": File(0o644, 0, 0, -5), "b": File(0o644, 0, 0, 1 << 40)})
    data = archive(store, tree, tmp_path / "a.cpio").read_bytes()
    assert data[46:54] == b"00000000" and data[112 + 46 : 112 + 54] == b"FFFFFFFF"


@pytest.mark.parametrize("tree", [
    Tree({"large": File(0o644, 0, 0, 0, (), (Slice(None, 0, 1 << 32),))}),
    Tree({"n" * 5000: Device(0o644, 0, 0, 0)}),
])  # fmt: skip
def test_what_cannot_be_carried_is_an_error_that_names_it(store, tree):
    with pytest.raises(FormatError, match=next(iter(tree))[:5]):
        cpio.write(tree, store.rope())


def test_the_largest_file_fits(store):
    tree = Tree({"large": File(0o644, 0, 0, 0, (), (Slice(None, 0, (1 << 32) - 1),))})
    assert cpio.size(tree) > 1 << 32
