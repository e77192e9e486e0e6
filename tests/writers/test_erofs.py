"""erofs: fsck.erofs gives back what was written."""

import re
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.model.tree import Device, Directory, File, Slice, Symlink, Tree, complete
from pipeline.ondisk import erofs as ondisk
from pipeline.writers import FormatError, erofs
from pipeline.writers.crc32c import ONES, crc32c
from tests.judges import need, needs_root, run
from tests.writers import samples
from tests.writers.test_cpio import compare

LEVELS = {"as it is": None, "lz4:1": 1, "lz4:12": 12}
each_level = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)


def image(store, tree, path, level=None):
    out = store.rope()
    first = erofs.write(tree, store.read, out, samples.lz4(store, level))
    store.export(store.content(first) + out.finish(), path)
    return path


def unpacked(path, folder):
    run(need("fsck.erofs", "erofs-utils"), f"--extract={folder}", path)
    return folder


def filled(store, tree):
    """`tree` with zeros for holes: fsck.erofs 1.5 writes what is behind a hole to where the hole begins."""

    def fill(content):
        return tuple(piece if piece.blob else store.content(bytes(piece.length))[0] for piece in content)

    return Tree((path, e._replace(content=fill(e.content)) if type(e) is File else e) for path, e in tree.items())


def extracted(tree):
    """What fsck.erofs makes of `tree`: a file of every name, and without the bits that a change of owner takes away."""
    result = Tree(tree)
    for path, entry in tree.items():
        if type(entry) is File:
            result[path] = entry._replace(inode="", mode=entry.mode & 0o777)
    return result


def dump(path, *options):
    return run(need("dump.erofs", "erofs-utils"), *options, path).stdout


@needs_root
@each_level
def test_fsck_erofs_gives_the_tree_back(store, tmp_path, level):
    tree = filled(store, samples.special(store))
    compare(store, extracted(tree), unpacked(image(store, tree, tmp_path / "image", level), tmp_path / "out"))


@each_level
def test_dump_erofs_says_what_an_inode_holds(store, tmp_path, level):
    path = image(store, samples.special(store), tmp_path / "image", level)
    shown = dump(path, "--path=/bin/su")
    assert re.search(r"Size: 40000 .*regular file", shown) and "Access: 0755/rwxr-xr-x" in shown
    assert "Links: 3" in dump(path, "--path=/etc/same-c") and "Links: 2" in dump(path, "--path=/tmp")
    names = ("/bin/same-a", "/lib/same-b", "/etc/same-c")
    assert len({re.search(r"NID: (\d+)", dump(path, f"--path={name}"))[1] for name in names}) == 1
    assert "Uid: 1000   Gid: 65534  Access: 0777" in dump(path, "--path=/tmp")
    statistics = dump(path, "-s")
    assert "sb_csum mtime" in statistics and "Filesystem created:                           Tue Nov 14" in statistics


@given(samples.random_files(), st.sampled_from([None, 1]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files, level):
    tree, folder = filled(store, samples.stored(store, files)), tmp_path_factory.mktemp("erofs")
    compare(store, tree, unpacked(image(store, tree, folder / "image", level), folder / "out"))


def test_something_follows_the_last_inode(store, tmp_path):
    """fsck.erofs 1.5 looks there for attributes that no inode announces."""
    for size in range(2977 - 64, 2978 + 64):
        files = {"a/a": [], "aa/a/a": [b"z" * size], "aaa/a/a": [], "x/a/a": []}
        tree = filled(store, samples.stored(store, files))
        unpacked(image(store, tree, tmp_path / f"image{size}"), tmp_path / f"out{size}")


sizes = st.one_of(st.integers(0, 20_000), st.integers(120_000, 140_000), st.integers(250_000, 280_000))


# different ones: fsck.erofs 1.5 does not know compressed files that share their bytes; test_mounts.py has those
several = st.lists(st.tuples(sizes, st.sampled_from(["noise", "text", "both"])), max_size=6, unique=True)


@given(several, st.sampled_from([None, 9]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_of_any_size_come_back(store, tmp_path_factory, files, level):
    """Around the sizes of blocks and extents, with what compresses, what does not, and either in turn."""
    tree, folder = Tree(), tmp_path_factory.mktemp("erofs")
    for number, (size, kind) in enumerate(files):
        text = b"".join(b"%d bottles\n" % line for line in range(size // 10 + 1))
        noise = samples.noise(size, str(number))
        data = {"noise": noise, "text": text, "both": noise[: size // 2] + text}[kind][:size]
        tree[str(number)] = File(0o644, 0, 0, samples.WHEN, (), store.content(data))
    compare(store, tree, unpacked(image(store, tree, folder / "image", level), folder / "out"))


@each_level
def test_large_directories_and_files(store, tmp_path, level):
    many = {f"directory/a file with the number {number}": [b"%d" % number] for number in range(10_000)}
    large = {"large": [samples.noise(700_000), b"x" * 1_000_000, 131072, b"end", b"y" * 5_000_000]}
    tree = filled(store, Tree(samples.stored(store, many) | samples.stored(store, large)).ordered())
    compare(store, tree, unpacked(image(store, tree, tmp_path / "image", level), tmp_path / "out"))


@needs_root
def test_large_owners_long_links_and_times(store, tmp_path):
    tree = Tree({
        "": Directory(0o700, 1 << 31, 70_000, 5),
        "before 1970": File(0o644, 0, 0, -5, (), store.content(b"x")),
        "far away": Directory(0o755, 70_000, (1 << 32) - 2, (1 << 33) + 1),
        "link": Symlink(0o777, 0, 0, 5, (), "/".join(["d" * 200] * 20)),
        "n" * 255: Device(0o600, 70_000, 0, 5, (), "c", 259, 1 << 19),
        **{f"some {number}": Directory(0o755, 0, 0, 5) for number in range(5)},
    }).ordered()  # fmt: skip
    compare(store, tree, unpacked(image(store, tree, tmp_path / "image"), tmp_path / "out"))


@each_level
def test_equal_files_are_stored_once(store, tmp_path, level):
    data = samples.noise(1_000_000)
    tree = Tree({str(number): File(0o644, 0, 0, 0, (), store.content(data[:500]) + store.content(data[500:]))
                 for number in range(5)})  # fmt: skip
    tree["6"] = tree["0"]._replace(content=store.content(data))
    path = image(store, tree, tmp_path / "image", level)
    assert path.stat().st_size < 1_100_000
    compare(store, tree, unpacked(path, tmp_path / "out"))


def test_compressed_bytes_that_files_share_take_a_new_kernel(store, tmp_path):
    content = store.content(b"".join(b"%d bottles\n" % line for line in range(30_000)))
    tree = Tree({name: File(0o644, 0, 0, 0, (), content) for name in ("a", "b")})
    features = image(store, tree, tmp_path / "two", 9).read_bytes()[1024 + 80 : 1024 + 84]
    assert struct.unpack("<I", features)[0] == ondisk.ZERO_PADDING | ondisk.BIG_PCLUSTER | ondisk.DEDUPE
    alone = image(store, Tree({"a": tree["a"]}), tmp_path / "one", 9)
    assert alone.stat().st_size == (tmp_path / "two").stat().st_size


@each_level
def test_holes_take_no_space(store, tmp_path, level):
    data = store.content(samples.noise(9000))
    content = (Slice(None, 0, 5 << 30), *data, Slice(None, 0, 1 << 30), *data, Slice(None, 0, 77))
    contents = {"both": content, "hole": (Slice(None, 0, 1 << 32),)}
    tree = Tree((name, File(0o644, 0, 0, 0, (), content)) for name, content in contents.items())
    path = image(store, tree, tmp_path / "image", level)
    assert path.stat().st_size <= 2_000_000
    assert f"Size: {(6 << 30) + 18_077}" in dump(path, "--path=/both")


def test_small_holes_are_kept(store, tmp_path):
    tree = samples.stored(store, {"sparse": [samples.noise(5000), 20_000, b"x" * 4096, 100_000]})
    path = image(store, tree, tmp_path / "image")
    assert path.stat().st_size == 4096 * (1 + 4 + 1)  # superblock, data, inodes
    assert len(re.findall(r"(?m)^ +\d+:", dump(path, "--path=/sparse", "-e"))) == 129_096 // 4096 + 1


def test_data_that_is_not_compressed_is_taken_by_reference(store):
    content = store.content(samples.noise(1_000_000))
    out = store.rope()
    erofs.write(Tree({"it": File(0o644, 0, 0, 0, (), content)}), store.read, out, None)
    assert out.finish()[0] == content[0]._replace(length=1_000_000 // 4096 * 4096)


def test_the_checksum_is_the_one_of_mkfs_erofs(tmp_path):
    run(need("mkfs.erofs", "erofs-utils"), "--quiet", tmp_path / "image", samples.__file__.rpartition("/")[0])
    block = (tmp_path / "image").read_bytes()[1024:4096]
    assert crc32c(ONES, block[:4] + bytes(4) + block[8:]) == struct.unpack_from("<I", block, 4)[0]


def test_crc32c():
    assert crc32c(ONES, b"123456789") ^ 0xFFFFFFFF == 0xE3069283  # RFC 3720's polynomial, the usual check value


@pytest.mark.parametrize(("tree", "words"), [
    (Tree({"it": Directory(0o755, 0, 0, 0, (("lustre.lov", b"x"),))}), r"it: .*lustre.lov"),
    (Tree({"it": Directory(0o755, 0, 0, 0, (("user.x", bytes(70_000)),))}), r"it: .*user.x of 70000 bytes"),
    (Tree({"n" * 256: Directory(0o755, 0, 0, 0)}), "n: .*256 bytes"),
    (Tree({"link": Symlink(0o777, 0, 0, 0, (), "x" * 4096)}), "link: .*4096 bytes"),
])  # fmt: skip
def test_what_has_no_place_is_refused(store, tree, words):
    with pytest.raises(FormatError, match=words):
        erofs.write(complete(tree), store.read, store.rope(), None)
