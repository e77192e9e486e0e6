"""The files in a .deb, read here and by dpkg-deb."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.tree import Directory, File, Symlink, Tree, only
from pipeline.recipe import deb
from pipeline.recipe.deb import BadPackage, Member, members
from pipeline.store import Store
from tests import judges
from tests.oci import craft
from tests.oci.stacks import old_sparse
from tests.packages import repository

FILES: repository.Files = {
    "etc/motd": "hello\n",
    "usr/bin/tool": b"\x7fELF" + bytes(100_000),
    "usr/bin/alias": ("link", "tool"),
    "usr/share/" + "long-name/" * 20 + "end": "deep",
    "usr/share/b\udcffd": "no UTF-8",
    "usr/share/.wh.gone": "a name like any other",
    "var/spool/empty": ("directory", "1777"),
}


def unpack(store: Store, **packages: bytes) -> Tree:
    tree = Tree()
    for name, data in sorted(packages.items()):
        tree.update(only(f"{name}.deb", store.content(data)))
    return store.tree(deb.unpack(store, store.put_tree(tree)))


@pytest.mark.parametrize("suffix", repository.COMPRESSORS)
def test_every_compression_of_deb_5_gives_the_same_files(store: Store, suffix: str) -> None:
    tree = unpack(store, a=repository.deb(FILES, suffix), b=repository.deb({}, suffix))
    assert store.bytes(_file(tree, "a/usr/bin/tool").content) == FILES["usr/bin/tool"]
    assert tree["a/usr/bin/alias"] == Symlink(0o777, 0, 0, repository.MTIME, (), "tool")
    assert tree["a/var/spool/empty"] == Directory(0o1777, 0, 0, repository.MTIME)
    assert store.bytes(_file(tree, "a/usr/share/" + "long-name/" * 20 + "end").content) == b"deep"
    assert {"a/usr/share/b\udcffd", "a/usr/share/.wh.gone"} <= tree.keys()
    assert list(tree) == sorted(tree)


def _file(tree: Tree, path: str) -> File:
    return tree.file(path)


@pytest.mark.parametrize("compressor", ["xz", "gzip", "zstd", "none"])
def test_dpkg_deb_agrees(store: Store, tmp_path: Path, compressor: str) -> None:
    source = tmp_path / "source"
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN/control").write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: x\n")
    (source / "usr/bin").mkdir(parents=True)
    (source / "usr/bin/one").write_bytes(b"1" * 70_000)
    (source / "usr/bin/one").chmod(0o4755)
    (source / "usr/bin/two").hardlink_to(source / "usr/bin/one")
    (source / "usr/bin/three").symlink_to("one")
    built = tmp_path / "x.deb"
    judges.run(judges.need("dpkg-deb", "dpkg"), "--root-owner-group", f"-Z{compressor}", "--build", source, built)
    tree = unpack(store, x=built.read_bytes())
    listed = judges.run("dpkg-deb", "--fsys-tarfile", built, text=False, errors=None).stdout
    with tarfile.open(fileobj=io.BytesIO(listed)) as tar:  # type: ignore[arg-type]
        theirs = {member.name.removeprefix(".").strip("/"): member for member in tar}
        assert {path.partition("/")[2] for path in tree} == theirs.keys()
        for path, member in theirs.items():
            entry = tree["x/" + path if path else "x"]
            assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (member.mode, 0, 0, member.mtime)
            if isinstance(entry, File):
                data = tar.extractfile(member)
                assert data is not None and store.bytes(entry.content) == data.read()
    assert _file(tree, "x/usr/bin/one").inode == _file(tree, "x/usr/bin/two").inode != ""


def test_a_package_that_two_recipes_have_is_unpacked_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = repository.deb({"a": "1"})
    first = unpack(store, one=shared)
    monkeypatch.setattr(deb, "_decompress", None)
    assert unpack(store, two=shared)["two/a"] == first["one/a"]


def test_what_is_wrong_with_a_package_is_said_with_its_name(store: Store) -> None:
    good = repository.deb(FILES)
    for data, message in {
        b"nothing": "not an ar archive",
        good[:-50]: "it is cut off",
        good[:-300].ljust(len(good), b"\0"): "is damaged",
        repository.ar({"debian-binary": b"2.0\n"}): "no data.tar in it",
        repository.ar({"data.tar.lz5": b""}): "data.tar.lz5 has a compression that deb",
        repository.ar({"data.tar": b"no tar" * 500}): "no tar header",
        repository.ar({"data.tar": craft.archive(old_sparse(b"x", 4 << 30, []))}): "entry 'x': .* grow beyond",
        repository.ar({"data.tar.xz": b"no xz"}): "data.tar.xz is damaged",
        repository.ar({"data.tar.gz": b"no gzip"}): "no tar header",
        repository.ar({"data.tar.gz": b"\x1f\x8b" + b"no gzip" * 9}): "a broken gzip stream",
        repository.ar({"data.tar.gz": gzip.compress(bytes(9999))[:-9]}): "the gzip stream is cut off",
        repository.ar({"data.tar.zst": b"\x28\xb5\x2f\xfdno zstd!"}): "a broken zstd stream",
    }.items():
        with pytest.raises(BadPackage, match=f"package bad: .*{message}"):
            unpack(store, bad=data)
    assert not [path for path in (store.root / "tmp").iterdir() if path.suffix != ".lock"]


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=15)


@given(st.dictionaries(names, st.binary(max_size=50)))
def test_ar_members_stand_where_they_say(parts: dict[str, bytes]) -> None:
    data = repository.ar(parts)
    found = list(members(io.BytesIO(data)))
    assert {m.name: data[m.offset : m.offset + m.size] for m in found} == parts


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_archives_are_refused_or_read_within_their_bounds(noise: bytes, at: int) -> None:
    data = bytearray(repository.ar({"debian-binary": b"2.0\n", "data.tar": b"x" * 101}))
    data[at : at + len(noise)] = noise
    try:
        found = list(members(io.BytesIO(data)))
    except BadPackage:
        return
    assert all(isinstance(each, Member) and each.offset + each.size <= len(data) for each in found)


def test_the_control_file(store: Store) -> None:
    text = "Package: a\nVersion: 1\nsource:  b (2) \nDescription: x\n more: no\n"
    data = repository.deb(FILES, control=text)
    fields = {"package": "a", "version": "1", "source": "b (2)", "description": "x"}
    assert deb.control(store, "a", store.put(data)) == fields


@pytest.mark.parametrize(("member", "data", "message"), [
    ("control.tar", b"noise", "its control.tar is damaged"),
    ("control.tar.xz", b"noise", "control.tar.xz is damaged"),
    ("control.tar.gz", b"noise", ""),
    ("control.tar.gz", gzip.compress(bytes(deb.CONTROL_LIMIT + 1)), "its control.tar is more than 16 MiB"),
    ("control.tar.lzo", b"", "control.tar.lzo has a compression that deb(5) does not define"),
    ("data.tar", b"", "no control.tar in it"),
])  # fmt: skip
def test_a_package_without_a_control_file_is_refused_with_its_name(
    store: Store, member: str, data: bytes, message: str
) -> None:
    blob = store.put(repository.ar({"debian-binary": b"2.0\n", member: data}))
    with pytest.raises(BadPackage) as error:
        deb.control(store, "tool", blob)
    assert str(error.value).startswith(f"package tool: {message}")
