"""Bytes from outside: whatever is damaged, a reader says what it is or that it knows nothing, and comes to an end."""

import json
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import readers
from pipeline.model import columns
from pipeline.model.digest import Digest
from pipeline.model.tree import Device, Directory, File, Slice, Symlink, Tree
from pipeline.readers import archives
from pipeline.readers.view import (
    BytesView,
    ConcatView,
    DecompressedView,
    DecompressionError,
    ViewSlice,
    chunks,
    first_unequal,
    sha256,
    subview,
)
from tests.judges import need, run

CONTENT_READ = 1 << 20
"""Bytes of each content that are read: enough to walk into whatever the damage made of it."""


NAMES = ("squashfs", "erofs", "ext4", "fat", "iso", "qcow2", "vmdk", "vhd")


SLICES = (Slice(Digest.of(b"a"), 0, 5), Slice(None, 0, 3)), (Slice(Digest.of(b"b"), 7, 5),)
TREE = Tree(
    {
        "etc": Directory(0o755, 0, 0, 1),
        "etc/hostname": File(0o644, 0, 0, 1, (("user.x", b"y"),), SLICES[0], "group"),
        "etc/large": File(0o644, 0, 0, 1, (), SLICES[1]),
        "etc/link": Symlink(0o777, 0, 0, 1, (), "hostname"),
        "etc/null": Device(0o666, 0, 0, 1, (), "c", 1, 3),
    }
)


class Images(list):
    def __repr__(self):
        return "images"  # not megabytes of them, when a test fails


def piped(command, given=b""):
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Images:
    """A small image of every structure."""
    folder = tmp_path_factory.mktemp("images")
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("node\n")
    (root / "etc/large").write_bytes(bytes(range(256)) * 100)
    (root / "etc/link").symlink_to("hostname")
    run(need("mksquashfs", "squashfs-tools"), root, folder / "squashfs", "-quiet", "-no-progress", "-comp", "zstd")
    run(need("mkfs.erofs", "erofs-utils"), "--quiet", "-zlz4hc", folder / "erofs", root)
    run(need("mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-d", root, folder / "ext4", "512k")
    run(need("mkfs.fat", "dosfstools"), "-C", folder / "fat", "720")
    run(need("mcopy", "mtools"), "-s", "-i", folder / "fat", root / "etc/hostname", "::")
    run(need("xorriso"), "-as", "mkisofs", "-quiet", "-R", "-o", folder / "iso", root)
    run(need("qemu-img", "qemu-utils"), "convert", "-O", "qcow2", "-c", folder / "ext4", folder / "qcow2")
    run("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=streamOptimized", folder / "ext4", folder / "vmdk")
    run("qemu-img", "convert", "-O", "vpc", folder / "ext4", folder / "vhd")
    tar = piped(["tar", "-C", root, "-c", "."])
    names = b".\netc\netc/hostname\netc/large\netc/link\n"
    cpio = piped([need("cpio"), "-D", root, "-o", "-H", "newc", "--quiet"], names)
    packed = [piped([need(tool), "-c"], cpio) for tool in ("gzip", "zstd", "xz")]
    files = [(folder / name).read_bytes() for name in NAMES]
    return Images([*files, columns.dump(TREE), tar, cpio, *packed, cpio + packed[0] + bytes(8) + packed[1]])


NOTHING_OF_THE_KIND = st.sampled_from([None, True, -1, 1e9, "", "x", "//", "AAAA", "AAAAAA==", [], [[]], {}, {"0": 9}])


@st.composite
def distorted(draw, value):
    """JSON like `value`, with something missing or of another type."""
    if value and isinstance(value, dict | list) and draw(st.integers(0, 3)):
        each = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        value = value.copy()
        inner = value.pop(each)
        if draw(st.integers(0, 3)):
            inner = draw(distorted(inner))
            value.update({each: inner}) if isinstance(value, dict) else value.insert(each, inner)
        return value
    return draw(NOTHING_OF_THE_KIND)


@given(distorted(json.loads(columns.dump(TREE))).filter(lambda document: isinstance(document, dict)))
@settings(max_examples=500, deadline=None)
def test_what_only_starts_like_a_tree(document):
    document = {"tree": 0, "blobs": [], **document} | {"tree": columns.VERSION}
    image = json.dumps(document, separators=(",", ":")).encode()
    assert image.startswith(columns.START)
    opened = walk(BytesView(image))
    assert opened is None or hash(
        tuple(value for node in opened.listing.values() for value in node.properties.values())
    )


def walk(view, depth=0):
    """Look into everything that can be looked into."""
    opened = readers.look_into(view)
    for node in opened.listing.values() if opened else ():
        if node.content is not None:
            try:
                node.content.read(0, CONTENT_READ)
            except DecompressionError as error:
                assert str(error)
            if depth < 3:
                walk(node.content, depth + 1)
    return opened


def test_every_image_is_known(images):
    for image in images:
        assert walk(BytesView(image)) is not None


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_survived(images, data):
    image = bytearray(images[data.draw(st.integers(0, len(images) - 1))])
    interesting = min(len(image), 4096)
    for _ in range(data.draw(st.integers(1, 6))):
        where = data.draw(st.one_of(st.integers(0, interesting - 1), st.integers(0, len(image) - 1)))
        image[where] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        image = image[: data.draw(st.integers(0, len(image)))]
    walk(BytesView(bytes(image)))


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(0, 200), st.integers(0, 200))
def test_a_concatenation_reads_as_its_parts_in_a_row(parts, offset, count):
    whole = b"".join(part + bytes(3) for part in parts)
    joined = ConcatView(
        each for part in parts for each in (ViewSlice(BytesView(part), 0, len(part)), ViewSlice(None, 0, 3))
    )
    assert joined.size == len(whole)
    assert joined.read(offset, count) == whole[offset : offset + count]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_first_unequal_byte(left, right):
    at = first_unequal(BytesView(left), BytesView(right))
    if at is None:
        assert left == right
    else:
        assert left[:at] == right[:at] and left[at : at + 1] != right[at : at + 1]


def test_windows_end_where_their_view_does():
    assert subview(BytesView(b"abc"), 1, 100).read(0, 100) == b"bc"
    assert sha256(subview(BytesView(b"abc"), 5, 1)) == sha256(BytesView(b""))


def test_a_bomb_is_given_up(monkeypatch):
    monkeypatch.setattr("pipeline.readers.view.INFLATED_LIMIT", 1000)
    with pytest.raises(ValueError, match="more than 1000"):
        DecompressedView(lambda: iter([b"x" * 600] * 3)).read(0, 1)


def test_frames_without_an_archive_continue_the_one_before():
    """pzstd and pigz split one archive over many frames."""
    import zstandard

    cpio = b"070701" + b"0" * 88 + b"0000000B" + b"0" * 8 + b"TRAILER!!!\0" + bytes(3)
    assert len(cpio) % 4 == 0
    packed = [zstandard.compress(piece) for piece in (cpio[:50], cpio[50:], cpio)]
    listing = archives.read(BytesView(b"".join(packed)))
    assert [b"".join(chunks(node.content)) for node in listing.values()] == [cpio, cpio]
