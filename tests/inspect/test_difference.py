"""The first difference is named in the formats' own words, with both values."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect.difference import Difference, between, differences, json_differences
from pipeline.inspect.listings import of_tree, root_of
from pipeline.model.tree import File, Symlink, Tree, complete
from pipeline.readers.view import BytesView, HostFile
from tests.inspect.conftest import SSHD
from tests.judges import need, run

ZSTD = b"\x28\xb5\x2f\xfd"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def first(left, right):
    return next(differences(left, right))


def test_through_all_layers_down_to_a_time_stamp(disk):
    left, right = disk("left", 1_600_000_000), disk("right", 1_600_000_001)
    found = list(differences(HostFile(left), HostFile(right)))
    assert found == [
        Difference(
            ("disk", "partition 1", "FAT", "EFI/Linux/node.efi", "PE", "section .initrd", "archives",
             "archive 2 (containers/services/sshd)", "cpio", SSHD),
            "mtime", "1600000000", "1600000001",
        )
    ]  # fmt: skip


def test_through_a_converted_disk(disk, tmp_path):
    left, right = disk("left", 1), disk("right", 1, "another program")
    images = []
    for name, path, form in (("l", left, "qcow2"), ("r", right, "qcow2")):
        images.append(tmp_path / f"{name}.{form}")
        run(need("qemu-img", "qemu-utils"), "convert", "-O", form, "-c", path, images[-1])
    difference = first(*map(HostFile, images))
    assert difference.steps[:3] == ("qcow2", "disk", "disk")
    assert str(difference).endswith(f"{SSHD} → line 1: sshd | another program")


def test_an_archive_that_is_new_moves_no_other(initrd):
    """Otherwise every service behind it would differ."""
    whole = initrd(1)
    service = whole[whole.index(ZSTD, 1) :]
    added, removed = first(BytesView(service), BytesView(whole)), first(BytesView(whole), BytesView(service))
    assert added.way == "archives → new archive 1 (etc) → kind" and added.left == "(nothing)"
    assert removed.way == "archives → archive 1 (etc) → kind" and removed.right == "(nothing)"
    assert len(list(differences(BytesView(service), BytesView(whole)))) == 1


def test_a_command_line(disk):
    difference = first(HostFile(disk("left", 1)), HostFile(disk("right", 1, cmdline="quiet splash")))
    assert str(difference).endswith("section .cmdline → line 1: quiet | quiet splash")


def test_equal_views_have_no_difference():
    assert list(differences(BytesView(b"same"), BytesView(b"same"))) == []


def test_what_no_reader_knows_is_shown_by_byte():
    assert first(BytesView(b"\0\1\2"), BytesView(b"\0\1\3")) == Difference((), "byte 2", "02", "03")
    assert str(first(BytesView(b"\0a"), BytesView(b"\0ab"))) == "size: 2 | 3"


def test_text_is_shown_by_line():
    assert first(BytesView(b"a\nb\n"), BytesView(b"a\nc\n")) == Difference((), "line 2", "b", "c")
    assert first(BytesView(b"a\n"), BytesView(b"a\nb\n")) == Difference((), "line 2", "(nothing)", "b")
    assert first(BytesView(b"a\n"), BytesView(b"a")) == Difference((), "line 1", "'a\\n'", "'a'")
    assert first(BytesView(b"a\r\n"), BytesView(b"a\n")).field == "line 1"


def test_json_is_shown_by_pointer():
    left, right = b'{"args": ["sh", "-c"], "a/b": 1}', b'{"args": ["sh"], "a/b": 2}'
    found = [difference[1:] for difference in differences(BytesView(left), BytesView(right))]
    assert found == [("/args/1", '"-c"', "(nothing)"), ("/a~1b", "1", "2")]
    assert first(BytesView(b'{"a":1}'), BytesView(b'{"a": 1}')).field == "byte 5"


@given(values, values)
def test_json_differences_are_found_if_and_only_if_there_are_any(left, right):
    found = list(json_differences(left, right))
    assert bool(found) == (json.dumps(left, sort_keys=True) != json.dumps(right, sort_keys=True))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_two_unequal_views_differ_somewhere(left, right):
    found = list(differences(BytesView(left), BytesView(right)))
    assert bool(found) == (left != right)
    assert all(difference.left != difference.right for difference in found)


def test_entries_of_trees(store):
    def tree(**files):
        return complete(Tree(files)).ordered()

    a = File(0o644, 0, 0, 1, (), store.content(b"a\n"))
    left = tree(one=a, two=a, three=Symlink(0o777, 0, 0, 1, (), "one"), five=a)
    changed = a._replace(mode=0o4755, uid=5, xattrs=(("user.a", b"1"),), content=store.content(b"b\n"))
    right = tree(one=changed, two=a, three=Symlink(0o777, 0, 0, 1, (), "two"), four=a, five=left["three"])
    found = [str(each) for each in between(of_tree(store, left), of_tree(store, right))]
    assert found == [
        "five → kind: file of 2 bytes | symlink",
        "one → mode: 0644 | 4755", "one → uid: 0 | 5", "one → xattr user.a: (nothing) | 31", "one → line 1: a | b",
        "three → target: one | two", "four → kind: (nothing) | file of 2 bytes",
    ]  # fmt: skip


def test_the_root_of_any_format(disk, tmp_path):
    image = disk("node", 1)
    assert root_of(HostFile(image))[SSHD].content.read(0, 9) == b"sshd"
    run(need("qemu-img", "qemu-utils"), "convert", "-O", "vmdk", image, tmp_path / "node.vmdk")
    assert {"etc/hostname", SSHD} <= set(root_of(HostFile(tmp_path / "node.vmdk")))
