"""ext4: e2fsck finds nothing wrong, debugfs and our own reader find what was written."""

import re
import stat
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.incremental import open_store
from pipeline.model import tree as trees
from pipeline.model.tree import EPOCH, Device, Directory, File, Slice, Symlink, Tree, complete
from pipeline.readers import ext4 as reader
from pipeline.readers.view import HostFile
from pipeline.writers import FormatError, ext4, ext4dir, ext4tree, raw
from pipeline.writers.crc32c import FEW, crc32c, crc32c_each
from tests.judges import need, run
from tests.writers import samples

MIB, GIB = 1 << 20, 1 << 30
TYPES = {File: stat.S_IFREG, Directory: stat.S_IFDIR, Symlink: stat.S_IFLNK}
DEVICES = {"c": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def image(store, tree, path, size=None, label="", journal=False):
    keep = samples.keep(store)
    return samples.written(store, lambda out: ext4.write(tree, keep, out, size, label, journal=journal), path)


def check(path):
    """e2fsck has nothing to say: it names what it would change, and with -n it changes nothing."""
    return run(need("e2fsck", "e2fsprogs"), "-fn", path).stdout


def debugfs(path, command):
    return run(need("debugfs", "e2fsprogs"), "-R", command, path).stdout


def compare(store, tree, path, contents=True):
    """e2fsck is content, and the reader finds `tree`."""
    check(path)
    listing = reader.read(HostFile(path))
    assert set(listing) - {"", "."} == {each for each in {*tree, "lost+found"} if each}
    for name, entry in tree.items():
        node = listing[name or "."]
        facts = node.properties
        assert facts["mode"] == f"{entry.mode & 0o7777:04o}"
        assert (facts["uid"], facts["gid"], facts["mtime"]) == (entry.uid, entry.gid, entry.mtime), name
        found = {key.removeprefix("xattr "): facts[key] for key in facts if key.startswith("xattr ")}
        assert found == {key: value.hex() for key, value in entry.xattrs}
        if type(entry) is File:
            assert node.content.size == entry.size
            if contents:
                assert node.content.read(0, entry.size) == samples.read(store, entry.content), name
        elif type(entry) is Symlink:
            assert raw(facts["target"]) == raw(entry.target)
        elif type(entry) is Device:
            assert facts["type"] == f"{DEVICES[entry.kind]:o}"
    return listing


@pytest.mark.parametrize("size", [None, 3 * MIB, 200 * MIB, 5 * GIB])
def test_every_kind_of_entry(store, tmp_path, size):
    tree = samples.special(store)
    path = image(store, tree, tmp_path / "ext4.img", size, "ROOT")
    assert path.stat().st_size == (size or 1 * MIB)
    listing = compare(store, tree, path)
    assert listing[""].properties["label"] == "ROOT"
    inodes = {listing[name].place["inode"] for name in ("bin/same-a", "lib/same-b", "etc/same-c")}
    assert len(inodes) == 1 and listing["bin/same-a"].properties["links"] == 3


def test_debugfs_sees_the_same(store, tmp_path):
    path = image(store, samples.special(store), tmp_path / "ext4.img")
    assert "Device major/minor number: 259:300" in debugfs(path, "stat dev/sda300")
    assert "Device major/minor number: 05:01" in debugfs(path, "stat dev/console")
    assert 'Fast link dest: "busybox"' in debugfs(path, "stat bin/sh")
    assert "security.capability (20)" in debugfs(path, "ea_list bin/ping")
    seen = debugfs(path, "stat etc/shadow")
    assert re.search(r"Mode:  0640", seen) and re.search(r"Group:    42\b", seen)
    assert re.search(r"mtime: 0x6553f101:00000000", seen), seen
    run(need("debugfs", "e2fsprogs"), "-R", f"dump boot/kernel {tmp_path}/kernel", path)
    assert (tmp_path / "kernel").read_bytes() == samples.noise(300_000)


@given(samples.random_files(), st.sampled_from([None, 40 * MIB]), st.booleans(), st.sampled_from([1, 4, trees.SECTION]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(store, tmp_path_factory, files, size, journal, many):
    tree, folder = samples.stored(store, files), tmp_path_factory.mktemp("ext4")
    with samples.in_sections(many):
        compare(store, tree, image(store, tree, folder / "ext4.img", size, journal=journal), contents=True)


def linked(tree, groups):
    """`tree` with the files at those places, as far as there are any, as names of one."""
    names = [path for path, entry in tree.items() if type(entry) is File]
    for group in groups:
        some = [names[at] for at in sorted(group) if at < len(names) and not tree[names[at]].inode]
        for path in some[1:] and some:
            tree[path] = tree[some[0]]._replace(inode=some[0])
    return tree


@given(samples.random_files(), st.lists(st.sets(st.integers(0, 9)), max_size=2), st.sampled_from([1, 3, 7]), st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_kept_is_what_would_be_made(tmp_path_factory, files, links, many, data):
    """One after another, in one store or in two: the second image is the same, and a right one."""
    folder, stores = tmp_path_factory.mktemp("ext4"), []
    after = {path: files[data.draw(st.sampled_from(sorted(files)))] for path in files if data.draw(st.booleans())}
    with samples.in_sections(many):
        for name, versions in (("together", (files, after)), ("alone", (after,))):
            stores.append(open_store(folder / name))
            for version in versions:
                tree = linked(samples.stored(stores[-1], version), links)
                image(stores[-1], tree, folder / f"{name}.img")
        assert (folder / "together.img").read_bytes() == (folder / "alone.img").read_bytes()
        compare(stores[-1], tree, folder / "alone.img")


xattrs = st.dictionaries(
    st.tuples(st.sampled_from(["user.", "trusted.", "security."]), st.text("abcé_", min_size=1, max_size=20)).map(
        "".join
    ),
    st.binary(max_size=200),
    max_size=4,
)
owners = st.integers(0, (1 << 32) - 2)
times = st.integers(-(1 << 31), (1 << 34) - (1 << 31) - 1)


@given(st.lists(st.tuples(owners, owners, times, st.integers(0, 0o7777), xattrs), max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_facts_come_back(store, tmp_path_factory, facts):
    tree = Tree({
        f"file {number}": File(mode, uid, gid, mtime, tuple(sorted(pairs.items())))
        for number, (uid, gid, mtime, mode, pairs) in enumerate(facts)
    })  # fmt: skip
    compare(store, tree, image(store, tree, tmp_path_factory.mktemp("ext4") / "ext4.img"))


def test_equal_attributes_share_a_block(store, tmp_path):
    pairs = (("user.large", bytes(range(250)) * 8), ("user.empty", b""))
    tree = Tree({f"f{number:04d}": File(0o644, 0, 0, EPOCH, pairs) for number in range(1100)})
    path = image(store, tree, tmp_path / "ext4.img")
    compare(store, tree, path)
    found = {re.search(r"File ACL: (\d+)", debugfs(path, f"stat f{number:04d}"))[1] for number in (0, 1, 1023, 1024)}
    assert len(found) == 2


def test_access_control_lists_are_kept_in_ext4_s_form(store, tmp_path):
    value = bytes.fromhex("0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff"
                          "20000400ffffffff")  # fmt: skip
    path = image(store, Tree({"it": File(0o644, 0, 0, EPOCH, (("system.posix_acl_access", value),))}),
                 tmp_path / "ext4.img")  # fmt: skip
    check(path)
    listing = debugfs(path, "ea_list it")
    assert "system.posix_acl_access (28)" in listing, listing
    assert reader.read(HostFile(path))["it"].properties["xattr system.posix_acl_access"] == value.hex()


@pytest.mark.parametrize(("count", "length"), [(200, 20), (10_000, 10), (8_000, 250)])
def test_large_directories_are_hashed(store, tmp_path, count, length):
    names = [f"{number:05d}ü".ljust(length, "x") for number in range(count)]
    tree = Tree({f"many/{name}": File(0o644, number, 0, EPOCH) for number, name in enumerate(names)})
    tree = complete(tree).ordered()
    path = image(store, tree, tmp_path / "ext4.img")
    compare(store, tree, path, contents=False)
    seen = debugfs(path, "htree_dump many")
    assert "Number of entries (limit): 507" in seen
    assert f"Indirect levels: {int(count == 8_000)}" in seen
    for number in (0, count // 2, count - 1):
        assert f"User: {number:5d}" in debugfs(path, f"stat many/{names[number]}")


@pytest.mark.parametrize("name", ["a", "four", "x" * 31, "y" * 32, "z" * 33, "long " * 51])
def test_hashes_are_those_of_debugfs(store, tmp_path, name):
    path = image(store, Tree(), tmp_path / "ext4.img")
    said = run(need("dumpe2fs", "e2fsprogs"), "-h", path).stdout
    seed = re.search(r"Directory Hash Seed:\s+(\S+)", said)[1]
    words = struct.unpack("<4I", bytes.fromhex(seed.replace("-", "")))
    seen = debugfs(path, f'dx_hash -h half_md4 -s {seed} "{name}"')
    major, minor = ext4dir.half_md4(words, raw(name))
    assert f"is {major:#x} (minor {minor:#x})" in seen


def test_many_subdirectories_are_not_counted():
    """e2fsck agrees; it takes a minute over so many."""
    for count, links in ((64_998, 65_000), (64_999, 1)):
        tree = complete(Tree({f"d/{number:05d}": Directory(0o755, 0, 0, EPOCH) for number in range(count)})).ordered()
        contents = ext4tree.spanning_contents(ext4tree.divide(tree), bytes(16))
        assert contents.links[contents.numbers["d"]] == links


def test_holes_stay_holes(store, tmp_path):
    data = store.content(bytes(range(256)) * 40)
    content = (Slice(None, 0, 5 * GIB), *data, Slice(None, 0, 10 * GIB), *data)
    tree = Tree({"sparse": File(0o644, 0, 0, EPOCH, (), content)})
    path = image(store, tree, tmp_path / "ext4.img")
    assert path.stat().st_size == 1 * MIB
    node = compare(store, tree, path, contents=False)["sparse"]
    assert node.content.size == 15 * GIB + 2 * 10240
    assert node.content.read(5 * GIB - 10, 30) == bytes(10) + bytes(range(20))
    assert node.content.read(15 * GIB + 10240, 10240) == bytes(range(256)) * 40


def test_a_file_in_many_pieces_has_a_tree_of_extents(store, tmp_path):
    pieces = []
    for number in range(1500):
        pieces += [Slice(None, 0, 4096), *store.content(b"%05d" % number * 819 + b".")]
    tree = Tree({"pieces": File(0o644, 0, 0, EPOCH, (), tuple(pieces))})
    path = image(store, tree, tmp_path / "ext4.img")
    compare(store, tree, path)
    assert "(ETB" in debugfs(path, "stat pieces")


def test_files_lie_in_the_order_of_their_paths(store):
    """Whoever reads the disk in its order reads layers, whose files are in that order, too, from front to back."""
    paths = [f"{folder}/{name}" for folder in "bca" for name in "213"]
    tree, out = samples.stored(store, {path: [samples.noise(5000, path)] for path in paths}), store.rope()
    ext4.write(tree, samples.keep(store), out)
    blobs = [entry.content[0].blob for entry in tree.values() if type(entry) is File]
    assert [piece.blob for piece in out.finish() if piece.blob in blobs] == blobs


def test_files_cross_groups(store, tmp_path):
    data = store.content(samples.noise(MIB))
    tree = Tree({name: File(0o644, 0, 0, EPOCH, (), data * 150) for name in ("a", "b", "c")})
    path = image(store, tree, tmp_path / "ext4.img")
    content = compare(store, tree, path, contents=False)["b"].content
    assert all(content.read(at * MIB, MIB) == samples.noise(MIB) for at in range(150))
    assert path.stat().st_size < 470 * MIB


@pytest.mark.parametrize("size", [1 * MIB, 7 * MIB, 128 * MIB, 129 * MIB, 1 * GIB + MIB, 3 * GIB])
@pytest.mark.parametrize("journal", [False, True])
def test_empty_ones_of_any_size(store, tmp_path, size, journal):
    if journal and size < 5 * MIB:
        pytest.skip("a journal alone takes 4 MiB")
    path = image(store, Tree(), tmp_path / "ext4.img", size, "DATA", journal)
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 < 2 * MIB + size // 4096
    check(path)
    features = run(need("dumpe2fs", "e2fsprogs"), "-h", path).stdout
    assert ("has_journal" in features) == journal
    for word in ("64bit", "extent", "metadata_csum", "dir_index", "flex_bg", "sparse_super"):
        assert word in features


def test_two_tebibytes_take_no_more_than_their_groups(store):
    out = store.rope()
    ext4.write(Tree(), samples.keep(store), out, 2048 * GIB)
    content = out.finish()
    assert trees.length(content) == 2048 * GIB
    assert sum(piece.length for piece in content if piece.blob) < 40 * MIB


def test_the_journal_is_one_that_e2fsck_can_replay(store, tmp_path):
    path = image(store, samples.plain(store), tmp_path / "ext4.img", 40 * MIB, journal=True)
    done = run(need("e2fsck", "e2fsprogs"), "-fy", path).stdout
    assert "MODIFIED" not in done
    assert "Journal starts at block 0" in run(need("debugfs", "e2fsprogs"), "-R", "logdump", path).stdout


def test_the_identity_follows_from_the_tree(store):
    tree = samples.plain(store)
    other = Tree({**tree, "EMPTY": tree["EMPTY"]._replace(mode=0o600)})
    keep = samples.keep(store)
    found = [ext4.write(each, keep, store.rope(), label=label) for each in (tree, other) for label in ("", "a")]
    assert len(set(found)) == 4
    assert found[0] == ext4.write(tree, samples.keep(store), store.rope())


WRONG = {
    "a long name": {"x" * 256: File(0o644, 0, 0, EPOCH)},
    "a long target": {"link": Symlink(0o777, 0, 0, EPOCH, (), "x" * 4096)},
    "no target": {"link": Symlink(0o777, 0, 0, EPOCH, (), "")},
    "a huge file": {"huge": File(0o644, 0, 0, EPOCH, (), (Slice(None, 0, 1 << 44),))},
    "large attributes": {"it": File(0o644, 0, 0, EPOCH, (("user.a", bytes(4096)),))},
    "attributes of another kind": {"it": File(0o644, 0, 0, EPOCH, (("mine.a", b""),))},
    "lost+found": {"lost+found": File(0o644, 0, 0, EPOCH)},
    "too many names": {f"{number:05d}": File(0o644, 0, 0, EPOCH, (), (), "00000") for number in range(65_001)},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_ext4_cannot_carry_is_refused(store, what):
    with pytest.raises(FormatError):
        ext4.write(Tree(WRONG[what]), samples.keep(store), store.rope())


@pytest.mark.parametrize("size", [4096, MIB // 2, 2 * MIB])
def test_a_size_that_does_not_do_is_refused(store, size):
    tree = Tree({"data": File(0o644, 0, 0, EPOCH, (), store.content(samples.noise(3 * MIB)))})
    with pytest.raises(FormatError, match=r"takes [0-9]+; give another size"):
        ext4.write(tree, samples.keep(store), store.rope(), size)


def test_more_files_than_a_group_has_inodes(store, tmp_path):
    tree = Tree({f"{number:05d}": File(0o644, 0, 0, EPOCH) for number in range(33_000)})
    with pytest.raises(FormatError, match="takes 135266304"):
        ext4.write(tree, samples.keep(store), store.rope(), 128 * MIB)
    path = image(store, tree, tmp_path / "ext4.img")
    assert path.stat().st_size == 129 * MIB
    check(path)


def test_crc32c_is_the_known_one():
    assert crc32c(0xFFFFFFFF, b"123456789") ^ 0xFFFFFFFF == 0xE3069283


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=3 * FEW), st.integers(40, 300), st.randoms())
def test_many_checksums_at_once_are_those_of_each(rows, size, chance):
    rows = rows * chance.randint(1, 3)
    starts = [chance.getrandbits(32) for _ in rows]
    each = [crc32c(start, row.ljust(size, b"\0")) for start, row in zip(starts, rows, strict=True)]
    assert crc32c_each(starts, rows, size) == each


@pytest.mark.parametrize("zeros", [1, 3, 200])
def test_columns_of_zeros_are_stepped_over(zeros):
    rows = [bytes((number, 7)) + bytes(zeros) + bytes((number ^ 5,)) for number in range(3 * FEW)]
    starts = range(len(rows))
    each = [crc32c(start, row.ljust(300, b"\0")) for start, row in zip(starts, rows, strict=True)]
    assert crc32c_each(starts, rows, 300) == each


@given(st.binary(max_size=50), st.integers(0, 600), st.binary(max_size=10), st.integers(0, (1 << 32) - 1))
def test_crc32c_steps_over_zeros(head, zeros, tail, start):
    data = head + bytes(zeros) + tail
    assert crc32c(start, data) == crc32c(crc32c(start, data[: len(data) // 2]), data[len(data) // 2 :])
    expected = start
    for byte in data:
        expected ^= byte
        for _ in range(8):
            expected = expected >> 1 ^ (0x82F63B78 if expected & 1 else 0)
    assert crc32c(start, data) == expected
