"""The tar index: GNU tar and Python's tarfile as judges, and laws that hold for any bytes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice, cut
from pipeline.oci.error import Refusal
from pipeline.oci.flatten import Flattener
from pipeline.oci.layer import layer_tree, tar_tree
from pipeline.oci.tar import Member, members
from pipeline.store import Store
from tests.judges import need, run
from tests.oci import craft
from tests.oci.stacks import old_sparse, pax_sparse_0, pax_sparse_01, pax_sparse_1

WHERE = (Slice(Digest("sha256:" + "0" * 64), 0, 1 << 40),)
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..") and 0 < len(name.encode("utf-8", "surrogatepass")) < 200
)
IDS = st.integers(0, 2**32 - 2)
TIMES = st.integers(-(2**40), 2**40)


def data_of(archive: bytes, member: Member) -> bytes:
    return b"".join(bytes(size) if at < 0 else archive[at : at + size] for at, size in member.extents)


@st.composite
def infos(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo("/".join(draw(st.lists(NAMES, min_size=1, max_size=4))).encode("utf-8", "replace").decode())
    info.type = draw(
        st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
    )
    info.mode, info.uid, info.gid, info.mtime = draw(st.integers(0, 0o7777)), draw(IDS), draw(IDS), draw(TIMES)
    data = draw(st.binary(max_size=1500)) if info.type == tarfile.REGTYPE else b""
    info.size = len(data)
    if info.type == tarfile.SYMTYPE:
        info.linkname = draw(NAMES).encode("utf-8", "replace").decode() * draw(st.integers(1, 5))
    if info.type == tarfile.CHRTYPE:
        info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
    if draw(st.booleans()):
        info.pax_headers["SCHILY.xattr.user.x"] = draw(st.binary(max_size=50)).decode("utf-8", "surrogateescape")
    return info, data


@given(entries=st.lists(infos(), max_size=6), kind=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_what_tarfile_writes_is_what_is_read(entries: list[tuple[tarfile.TarInfo, bytes]], kind: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind, errors="surrogateescape") as tar:
        for info, data in entries:
            if kind == tarfile.GNU_FORMAT:
                info.pax_headers = {}
            tar.addfile(info, io.BytesIO(data))
    archive = out.getvalue()
    found = list(members(archive))
    assert len(found) == len(entries)
    for (info, data), member in zip(entries, found, strict=True):
        assert member.path.rstrip("/") == info.name.rstrip("/")
        assert (member.mode, member.uid, member.gid) == (info.mode, info.uid, info.gid)
        assert member.mtime == info.mtime
        assert data_of(archive, member) == data
        if info.type == tarfile.SYMTYPE:
            assert member.target == info.linkname
        if info.type == tarfile.CHRTYPE:
            assert (member.major, member.minor) == (info.devmajor, info.devminor)
        expected = info.pax_headers.get("SCHILY.xattr.user.x")
        assert dict(member.xattrs).get("user.x", b"") == (expected or "").encode("utf-8", "surrogateescape")


@given(
    archive=st.binary(max_size=3000),
    at=st.integers(0, 2000),
    flips=st.lists(st.tuples(st.integers(0, 2999), st.integers(0, 255)), max_size=8),
)
@example(archive=b"\0" * 511, at=0, flips=[])
def test_any_bytes_give_members_inside_the_archive_or_are_refused(
    archive: bytes, at: int, flips: list[tuple[int, int]]
) -> None:
    """Garbage, and a good archive with some bytes changed and its checksums made right again."""
    good = bytearray(
        craft.archive(craft.entry("d", "d"), craft.entry("n" * 120, data=b"x" * 700), old_sparse(b"s", 90, [(5, b"a")]))
    )
    for position, value in flips:
        good[position % len(good)] = value
    for start in range(0, len(good), 512):
        block = good[start : start + 512]
        total = sum(block[:148]) + 256 + sum(block[156:])
        if any(block):
            good[start + 148 : start + 156] = b"%06o\0 " % total
    for unsafe in (archive, bytes(good), bytes(good[:at])):
        result = Flattener()
        try:
            for member in members(unsafe):
                assert all(offset < 0 or 0 <= offset <= offset + size <= len(unsafe) for offset, size in member.extents)
            result.add(unsafe, WHERE)
        except Refusal:
            continue
        tree = result.tree()
        assert list(tree) == sorted(tree)
        for path in tree:
            assert not path.startswith("/") and ".." not in path.split("/")
            assert not path or path.rpartition("/")[0] in tree or "/" not in path


@pytest.mark.parametrize("flag", ["--format=gnu", "--format=pax", "--format=ustar", "--format=v7", "--format=oldgnu"])
def test_gnu_tar_writes_it_and_we_read_it(flag: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(os.urandom(3000))
    os.link(root / "a" / "b" / "file", root / "hard")
    os.symlink("a/b/file", root / "soft")
    os.chmod(root / "a", 0o1777)
    (root / "empty").touch()
    run(need("tar"), flag, "--sort=name", "-C", root, "-cf", tmp_path / "x.tar", "a", "empty", "hard", "soft")
    store = Store(tmp_path / "store")
    tree = layer_tree(store, store.put((tmp_path / "x.tar").read_bytes()))
    assert list(tree) == ["a", "a/b", "a/b/file", "empty", "hard", "soft"]
    assert store.bytes(tree["hard"].content) == (root / "hard").read_bytes()  # type: ignore[union-attr]
    assert tree["a"].mode == 0o1777 and tree["a/b"].mtime == int((root / "a" / "b").stat().st_mtime)
    assert tree["hard"].inode == tree["a/b/file"].inode == "a/b/file"  # type: ignore[union-attr]


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0", "gnu"])
def test_gnu_tar_writes_sparse_files_and_we_read_them(version: str, tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        for number in range(40):  # more regions than fit into a header
            file.seek(number * 50_000)
            file.write(b"%d" % number * 700)
        file.truncate(3_000_000)
    kind = ["--format=gnu"] if version == "gnu" else ["--format=pax", f"--sparse-version={version}"]
    run(need("tar"), *kind, "--sparse", "--hole-detection=raw", "-C", tmp_path, "-cf", tmp_path / "x.tar", "sparse")
    archive = (tmp_path / "x.tar").read_bytes()
    (member,) = members(archive)
    assert member.path == "sparse" and any(offset < 0 for offset, _ in member.extents)
    assert data_of(archive, member) == (tmp_path / "sparse").read_bytes()


@pytest.mark.parametrize("write", [old_sparse, pax_sparse_0, pax_sparse_01, pax_sparse_1])
def test_gnu_tar_reads_crafted_sparse_files_as_we_do(write: object, tmp_path: Path) -> None:
    archive = craft.archive(
        write(b"sparse", 10000, [(512, b"A" * 512), (8192, b"B" * 512), (10000, b"")]), craft.entry("after", data=b"x")
    )  # type: ignore[operator]
    (tmp_path / "x.tar").write_bytes(archive)
    first, after = members(archive)
    run(need("tar"), "-xf", tmp_path / "x.tar", "-C", tmp_path)
    assert data_of(archive, first) == (tmp_path / "sparse").read_bytes()
    assert data_of(archive, after) == b"x"


def test_gnu_tar_lists_what_only_we_take(tmp_path: Path) -> None:
    archive = craft.archive(
        craft.pax({"comment": b"0123"}, b"g"),
        craft.header(b"contiguous", b"7", 4) + craft.padded(b"data"),
        craft.header(b"olddir/", b"\0", magic=bytes(8), mode=0o755),
    )
    (tmp_path / "x.tar").write_bytes(archive)
    listed = run(need("tar"), "-tf", tmp_path / "x.tar").stdout.split()
    assert listed == [member.path for member in members(archive)]


def test_libarchive_xattrs_are_the_same_attributes() -> None:
    both = {"SCHILY.xattr.user.a": b"1\n2", "LIBARCHIVE.xattr.user.a": b"MQoy", "LIBARCHIVE.xattr.user.b%25": b"eA"}
    (member,) = members(craft.archive(craft.entry("x", records=both)))
    assert member.xattrs == (("user.a", b"1\n2"), ("user.b%", b"x"))


@given(cuts=st.lists(st.integers(1, 5000), max_size=6))
def test_a_tar_inside_other_content_is_read_where_it_stands(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """kernel.tar inside a layer, or in pieces: its files are slices of the blobs below."""
    store = Store(tmp_path_factory.mktemp("store"))
    archive = craft.archive(
        craft.entry("a/b", data=b"B" * 1000), craft.entry("c", data=b"C"), old_sparse(b"s", 90, [(5, b"a")])
    )
    around = b"before" + archive + b"after"
    content: Content = cut((Slice(store.put(around), 0, len(around)),), 6, len(archive))
    for at in cuts:  # the same bytes in more than one slice
        at %= len(archive)
        head, tail = cut(content, 0, at), cut(content, at, len(archive) - at)
        content = (*head, *(Slice(store.put(bytes(store.bytes(tail))), 0, len(archive) - at),)) if at else content
    tree = tar_tree(store, content)
    assert [store.bytes(tree[path].content) for path in ("a/b", "c", "s")] == [  # type: ignore[union-attr]
        b"B" * 1000,
        b"C",
        bytes(5) + b"a" + bytes(84),
    ]


def test_whiteouts_are_names_like_any_other_in_a_plain_tar(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert list(layer_tree(store, store.put(craft.archive(craft.entry(".wh.x"))))) == [".wh.x"]
