"""The index that modprobe searches: every key is found in it, with its values by priority."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernel.kmod_index import FORMAT, MAGIC, index, normalize

PREFIX, VALUES, CHILDREN = 0x80000000, 0x40000000, 0x20000000


def look_up(data: bytes, key: str) -> list[tuple[int, str]]:
    """Priority and value of a key, found as libkmod finds them."""
    magic, version, node = struct.unpack_from(">III", data)
    assert (magic, version) == (MAGIC, FORMAT)
    rest = key
    while node:
        at = node & 0x0FFFFFFF
        if node & PREFIX:
            end = data.index(b"\0", at)
            prefix = data[at:end].decode()
            if not rest.startswith(prefix):
                return []
            rest, at = rest[len(prefix) :], end + 1
        children = {}
        if node & CHILDREN:
            first, last = data[at], data[at + 1]
            offsets = struct.unpack_from(f">{last - first + 1}I", data, at + 2)
            children = dict(zip(range(first, last + 1), offsets, strict=True))
            at += 2 + 4 * len(offsets)
        if not rest:
            return list(_values(data, at)) if node & VALUES else []
        node, rest = children.get(ord(rest[0]), 0), rest[1:]
    return []


def _values(data: bytes, at: int):
    (count,) = struct.unpack_from(">I", data, at)
    at += 4
    for _ in range(count):
        end = data.index(b"\0", at + 4)
        yield struct.unpack_from(">I", data, at)[0], data[at + 4 : end].decode()
        at = end + 1


keys = st.text(st.sampled_from("ab_*"), min_size=1, max_size=5)


@given(st.lists(st.tuples(keys, st.sampled_from("vwx"), st.integers(0, 9)), max_size=20), keys)
def test_every_key_has_its_values_in_the_order_of_priority(entries, other):
    data = index(entries)
    for key in {key for key, _, _ in entries} | {other}:
        expected = sorted((priority, value) for name, value, priority in entries if name == key)
        found = look_up(data, key)
        assert sorted(found) == expected and [each[0] for each in found] == [each[0] for each in expected]


def test_keys_that_are_not_ascii_are_left_out():
    assert index([("ä", "v", 1)]) == index([]) == bytes.fromhex("b007f457 00020001 0000000c")


@pytest.mark.parametrize(
    ("alias", "key"),
    [("a-b", "a_b"), ("pci:v[0-9]*-x", "pci:v[0-9]*_x"), ("a[b", None), ("a]b", None), ("[a][-]-", "[a][-]_")],
)
def test_aliases_are_normalize_outside_of_brackets(alias, key):
    assert normalize(alias) == key
