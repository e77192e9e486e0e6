"""ISO 9660: xorriso (Rock Ridge) and isoinfo (Joliet) give back what was written."""

import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.incremental import open_store
from pipeline.model.tree import File, Slice, Symlink, Tree, complete
from pipeline.writers import iso9660
from tests.judges import need, run
from tests.writers import samples
from tests.writers.test_cpio import compare


def image(store, tree, path, boots=()):
    plan = iso9660.plan(tree, samples.keep(store), boots)
    samples.written(store, lambda out: iso9660.write(plan, out, "NODE"), path)
    assert path.stat().st_size == plan.end * iso9660.BLOCK
    return path


def unpacked(path, folder):
    done = run(need("xorriso"), "-abort_on", "WARNING", "-osirrox", "on:auto_chmod_off", "-indev", path,
               "-extract", "/", folder)  # fmt: skip
    assert "WARNING" not in done.stderr and "SORRY" not in done.stderr
    return folder


def apart(tree):
    """The tree without hard links: each name is a file of its own on such a disc."""
    return Tree((path, entry._replace(inode="") if type(entry) is File else entry) for path, entry in tree.items())


def test_xorriso_gives_the_tree_back(store, tmp_path):
    tree = apart(samples.special(store, devices=False))
    compare(store, tree, unpacked(image(store, tree, tmp_path / "a.iso"), tmp_path / "out"))


def test_devices(store, tmp_path):
    path = image(store, samples.special(store), tmp_path / "a.iso")
    listing = run(need("xorriso"), "-indev", path, "-lsl", "/dev").stdout
    assert " 5,1 " in listing and "crw-------" in listing
    assert "brw-rw----" in listing and "prw-r--r--" in listing


@given(samples.random_files())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files):
    tree, folder = samples.stored(store, files), tmp_path_factory.mktemp("iso")
    compare(store, tree, unpacked(image(store, tree, folder / "a.iso"), folder / "out"))


@given(samples.random_files(), st.sampled_from([1, 3]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back_in_sections(store, tmp_path_factory, files, many):
    tree, folder = samples.stored(store, files), tmp_path_factory.mktemp("iso")
    with samples.in_sections(many):
        compare(store, tree, unpacked(image(store, tree, folder / "a.iso"), folder / "out"))


def test_every_kind_in_sections(store, tmp_path):
    tree = apart(samples.special(store, devices=False))
    with samples.in_sections(2):
        compare(store, tree, unpacked(image(store, tree, tmp_path / "a.iso"), tmp_path / "out"))


@given(samples.random_files(), samples.random_files(), st.sampled_from([1, 3, 7]))
@settings(max_examples=40, deadline=None)
def test_what_is_known_from_another_disc_changes_nothing(tmp_path_factory, before, after, many):
    store, folder = open_store(tmp_path_factory.getbasetemp() / "known"), tmp_path_factory.mktemp("iso")
    with samples.in_sections(many):
        for files in (before, after, before):
            made = image(store, samples.stored(store, files), folder / "made.iso").read_bytes()
            alone = open_store(tmp_path_factory.mktemp("alone"))
            assert made == image(alone, samples.stored(alone, files), folder / "alone.iso").read_bytes()


def test_a_change_lays_out_its_own_section(store):
    """As long as it takes as many blocks."""

    def made(config):
        paths = [f"containers/services/{name}/{number:02}" for name in "abc" for number in range(1, 90)]
        files = {path: [path.encode()] for path in paths}
        tree = samples.stored(store, {**files, "containers/services/b/00/config": [config]})
        seen = []

        def keep(name, make):
            seen.append(name)
            return samples.keep(store)(name, make)

        with samples.in_sections(30):
            iso9660.plan(tree, keep)
        return seen

    before, after = made(b"one"), made(b"two")
    assert len(set(after) & set(before)) > 9 and len(set(after) - set(before)) == 1


def test_what_is_kept_has_the_same_name_in_every_process():
    """Though the order of a set is another one in each."""
    code = """
from pipeline.model.tree import File, Slice, Tree, complete
from pipeline.writers import iso9660
from tests.writers import samples

names = []
def keep(name, make):
    names.append(name)
    return samples.keep(store)(name, make)

paths = [f"{folder}/{number}" for folder in "ab" for number in range(40)]
tree = {path: File(0o644, 0, 0, 0, (), (Slice(None, 0, 1 + len(path)),)) for path in paths}
import tempfile
from pathlib import Path
from pipeline.incremental import open_store


with tempfile.TemporaryDirectory() as folder, samples.in_sections(9):
    store = open_store(Path(folder))
    iso9660.plan(complete(Tree(tree)).ordered(), keep)
print(*names, sep="\\n")
"""
    found = {run(sys.executable, "-c", code, env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in "123"}
    assert len(found) == 1 and found.pop().count("\n") > 5


def test_names_and_links_of_every_length(store, tmp_path):
    tree = samples.stored(store, {"d/" + "n" * size: [b"%d" % size] for size in range(1, 254)})
    for size in (1, 100, 240, 250, 255, 300, 800, 1000):
        tree[f"link{size}"] = Symlink(0o777, 0, 0, samples.WHEN, (), "/".join(["l" * 253] * 20)[:size] + "x")
    tree["dots"] = Symlink(0o777, 0, 0, samples.WHEN, (), "/../.././a/../b")
    compare(store, tree.ordered(), unpacked(image(store, tree.ordered(), tmp_path / "a.iso"), tmp_path / "out"))


def test_many_files_and_deep_directories(store, tmp_path):
    tree = samples.stored(store, {f"a name {number} in upper case is a twin {number}": [b""] for number in range(2000)})
    tree |= samples.stored(store, {"/".join("abcdefghijklmnop"): [b"deep"]})
    compare(store, tree.ordered(), unpacked(image(store, tree.ordered(), tmp_path / "a.iso"), tmp_path / "out"))


def test_joliet_has_the_names_in_unicode(store, tmp_path):
    tree = samples.plain(store)
    command = [need("xorriso"), "-read_fs", "norock", "-osirrox", "on:auto_chmod_off"]
    command += ["-indev", image(store, tree, tmp_path / "a.iso"), "-extract", "/", tmp_path / "out"]
    assert "SORRY" not in run(*command).stderr
    found = {str(place.relative_to(tmp_path / "out")): place for place in (tmp_path / "out").rglob("*")}
    long = next(path for path in tree if path.endswith(".tar.gz"))
    assert found.keys() == {path.replace(long, long[: long.rindex("/") + 1 + 64]) for path in tree}
    assert found["naïve Größe 文.txt"].read_bytes() == b"unicode"
    assert found["boot/Initrd.img"].read_bytes() == samples.read(store, tree["boot/Initrd.img"].content)


def test_a_file_larger_than_an_extent(store, tmp_path):
    content = (*store.content(b"start"), Slice(None, 0, 5 << 30), *store.content(b"end"))
    tree = Tree({"large": File(0o644, 0, 0, 0, (), content)})
    listing = run(need("xorriso"), "-indev", image(store, tree, tmp_path / "a.iso"), "-lsl", "/").stdout
    assert str((5 << 30) + 8) in listing


def test_the_boot_catalog(store, tmp_path):
    tree = complete(samples.stored(store, {"boot/bios": [bytes(4096)], "boot/efi.img": [samples.noise(1 << 20)]}))
    boots = [iso9660.Boot("boot/bios", iso9660.BIOS, 4), iso9660.Boot("boot/efi.img", iso9660.EFI, 2048)]
    path = image(store, tree, tmp_path / "a.iso", boots)
    report = run(need("xorriso"), "-indev", path, "-report_el_torito", "plain").stdout
    assert "BIOS  y" in report and "UEFI  y" in report and "/boot/efi.img" in report


@pytest.mark.parametrize("tree", [Tree(), complete(Tree({"d/e": File(0o644, 0, 0, -5)}))])
def test_small_trees(store, tmp_path, tree):
    folder = unpacked(image(store, tree, tmp_path / "a.iso"), tmp_path / "out")
    assert {str(place.relative_to(folder)) for place in folder.rglob("*")} == set(tree)
