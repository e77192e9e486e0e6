"""FAT: fsck.fat finds nothing wrong, and mtools reads back what was written."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.tree import Device, File, Slice, Symlink, Tree, complete
from pipeline.writers import FormatError, fat
from tests.judges import need, run
from tests.writers import samples

MIB = 1 << 20


def image(store, tree, path, size=None, label="NODE"):
    plan = fat.plan(tree, size)
    boot = fat.boot_sector(plan, label, 0x1234ABCD, 0)
    return samples.written(store, lambda out: fat.write(plan, out, label, boot), path)


def compare(store, tree, path, folder):
    """fsck.fat is content, and mtools' copy of the volume is `tree`."""
    run(need("fsck.fat", "dosfstools"), "-n", path)
    folder.mkdir()
    if tree:
        run(need("mcopy", "mtools"), "-smQ", "-i", path, "::/", folder, env={"MTOOLS_SKIP_CHECK": "1"})
    found = {str(place.relative_to(folder)) for place in folder.rglob("*")}
    assert found == set(tree)
    for name, entry in tree.items():
        if type(entry) is File:
            assert (folder / name).read_bytes() == samples.read(store, entry.content), name
            assert (folder / name).stat().st_mtime == entry.mtime // 2 * 2


@pytest.mark.parametrize(("size", "bits"), [
    (None, "16"), (8 * MIB, "16"), (31 * MIB, "16"), (64 * MIB, "32"), (300 * MIB, "32"), (9 << 30, "32"),
])  # fmt: skip
def test_mtools_gives_the_tree_back(store, tmp_path, size, bits):
    tree = samples.plain(store)
    path = image(store, tree, tmp_path / "fat.img", size)
    assert path.stat().st_size == (size or 3 * MIB)
    compare(store, tree, path, tmp_path / "out")
    assert f"{bits} bit entries" in run(need("fsck.fat", "dosfstools"), "-nv", path).stdout


@given(samples.random_files(), st.sampled_from([None, 40 * MIB]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files, size):
    tree, folder = samples.stored(store, files), tmp_path_factory.mktemp("fat")
    compare(store, tree, image(store, tree, folder / "fat.img", size), folder / "out")


def test_many_files_in_one_directory(store, tmp_path):
    contents = {f"directory/file number {number}.text": [b"%d" % number] for number in range(1200)}
    tree = samples.stored(store, contents)
    compare(store, tree, image(store, tree, tmp_path / "fat.img"), tmp_path / "out")


def test_a_root_with_more_files_than_fat16_has_room_for(store, tmp_path):
    tree = samples.stored(store, {f"file number {number}.text": [b""] for number in range(300)})
    compare(store, tree, image(store, tree, tmp_path / "fat.img"), tmp_path / "out")


def test_every_file_is_in_one_piece(store, tmp_path):
    tree = samples.plain(store)
    plan = fat.plan(tree)
    data = image(store, tree, tmp_path / "fat.img").read_bytes()
    for path in ("boot/kernel", "boot/Initrd.img"):
        start = plan.sector(path) * 512
        expected = samples.read(store, tree[path].content)
        assert data[start : start + len(expected)] == expected


@pytest.mark.parametrize("megabytes", [30, 31, 32, 33, 34, 35, 36, 60, 70, 130, 260, 600])
def test_content_of_any_size_fits_its_smallest_volume(store, megabytes):
    tree = Tree({"data": File(0o644, 0, 0, 0, (), (Slice(None, 0, megabytes * MIB),))})
    plan = fat.plan(tree)
    low, high = fat.CLUSTERS[plan.geometry.bits]
    assert low <= plan.geometry.clusters <= high
    assert megabytes * MIB < plan.size <= max(megabytes * MIB * 1.02 + 2 * MIB, 35 * MIB)


@pytest.mark.parametrize("path", [
    'quo"te', "a/b*c", "x:y", "back\\slash", "dot.", "space ", "new\nline", os.fsdecode(b"\xff"), "n" * 256,
])  # fmt: skip
def test_names_that_fat_cannot_hold_are_refused(path):
    with pytest.raises(FormatError, match="name"):
        fat.plan(complete(Tree({path: File(0o644, 0, 0, 0)})))


def test_twins_by_case_are_refused():
    with pytest.raises(FormatError, match="a/Name and a/name"):
        fat.plan(complete(Tree({path: File(0o644, 0, 0, 0) for path in ("a/Name", "a/name")}).ordered()))


@pytest.mark.parametrize("entry", [
    Symlink(0o777, 0, 0, 0, (), "x"), Device(0o600, 0, 0, 0), File(0o644, 0, 0, 0, (), (Slice(None, 0, 1 << 32),)),
])  # fmt: skip
def test_what_fat_cannot_hold_is_refused(entry):
    with pytest.raises(FormatError, match="it:"):
        fat.plan(Tree({"it": entry}))


@pytest.mark.parametrize("size", [MIB, 2 * MIB, 40 << 40])
def test_a_size_that_does_not_do_is_refused(store, size):
    with pytest.raises(FormatError, match="size"):
        fat.plan(Tree({"it": File(0o644, 0, 0, 0, (), (Slice(None, 0, 3 * MIB),))}), size)


def test_times_outside_dos_are_moved_to_its_ends(store, tmp_path):
    tree = Tree({"EARLY": File(0o644, 0, 0, 0), "LATE": File(0o644, 0, 0, 1 << 40)})
    listing = run(need("mdir", "mtools"), "-i", image(store, tree, tmp_path / "fat.img"), "::").stdout
    assert "1980-01-01" in listing and "2107-12-31" in listing
