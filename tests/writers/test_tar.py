"""tar: GNU tar and Python's tarfile read back what was written."""

import os
import tarfile

from hypothesis import HealthCheck, given, settings

from pipeline.model.tree import Directory, File, Symlink, Tree
from pipeline.writers import tar
from tests.judges import need, run
from tests.writers import samples
from tests.writers.test_cpio import compare


def archive(store, tree, path):
    return samples.written(store, lambda out: tar.write(tree, out), path)


def test_gnu_tar_gives_the_tree_back(store, tmp_path):
    tree = samples.special(store, devices=False)
    (tmp_path / "out").mkdir()
    options = ["--xattrs", "--xattrs-include=user.*"]
    run(need("tar"), "-xp", *options, "-f", archive(store, tree, tmp_path / "a.tar"), "-C", tmp_path / "out")
    compare(store, tree, tmp_path / "out")
    assert os.getxattr(tmp_path / "out/etc/shadow", "user.b") == bytes(range(256))


def test_tarfile_reads_every_field(store, tmp_path):
    tree = samples.special(store)
    with tarfile.open(archive(store, tree, tmp_path / "a.tar")) as found:
        members = {"" if member.name == "." else member.name: member for member in found}
        assert list(members) == list(tree)
        for path, entry in tree.items():
            member = members[path]
            assert (member.mode, member.uid, member.gid, member.mtime) == entry[:4]
            records = {key: os.fsencode(value) for key, value in member.pax_headers.items() if ".xattr." in key}
            assert records == {f"SCHILY.xattr.{key}": value for key, value in entry.xattrs}
            if type(entry) is File:
                assert found.extractfile(member).read() == samples.read(store, entry.content)
                assert member.islnk() == (entry.inode not in ("", path))
            elif type(entry) is Symlink:
                assert member.linkname == entry.target
            elif type(entry) is not Directory:
                assert (member.devmajor, member.devminor) == (entry.major, entry.minor)


def test_numbers_that_the_fields_cannot_hold(store, tmp_path):
    wide = Tree({"a": File(0o644, 1 << 31, (1 << 32) - 2, -3), "b": File(0o644, 0, 0, 1 << 34)})
    with tarfile.open(archive(store, wide, tmp_path / "a.tar")) as found:
        assert [(member.uid, member.gid, member.mtime) for member in found] == [entry[1:4] for entry in wide.values()]


@given(samples.random_files())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files):
    tree = samples.stored(store, files)
    with tarfile.open(archive(store, tree, tmp_path_factory.mktemp("tar") / "a.tar")) as found:
        for member, (path, entry) in zip(found, tree.items(), strict=True):
            assert member.name == path
            assert type(entry) is Directory or found.extractfile(member).read() == samples.read(store, entry.content)
