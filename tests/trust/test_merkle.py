"""Inclusion proofs of trees that a slow and simple definition makes (RFC 6962, 2.1)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.trust import merkle
from pipeline.trust.error import SignatureRefusal


def split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def tree(leaves: list[bytes]) -> bytes:
    """Returns the hash of a tree (2.1)."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    middle = split(len(leaves))
    return hashlib.sha256(b"\1" + tree(leaves[:middle]) + tree(leaves[middle:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Returns the audit path of a leaf (2.1.1)."""
    if len(leaves) == 1:
        return []
    middle = split(len(leaves))
    if index < middle:
        return [*path(index, leaves[:middle]), tree(leaves[middle:])]
    return [*path(index - middle, leaves[middle:]), tree(leaves[:middle])]


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_a_proof_leads_to_the_root(place: tuple[int, int]) -> None:
    size, index = place
    leaves = [bytes([number]) for number in range(size)]
    proof = path(index, leaves)
    leaf = merkle.leaf_hash(leaves[index])
    assert merkle.root_hash(leaf, index, size, proof) == tree(leaves)
    if size > 1:
        assert merkle.root_hash(merkle.leaf_hash(b"other"), index, size, proof) != tree(leaves)
        with pytest.raises(SignatureRefusal, match="too short"):
            merkle.root_hash(leaf, index, size, proof[:-1])
    with pytest.raises(SignatureRefusal, match="too long"):
        merkle.root_hash(leaf, index, size, [*proof, bytes(32)])


@pytest.mark.parametrize(("index", "size", "proof"), [
    (0, 0, []), (-1, 1, []), (1, 1, []), (0, 2, [b"short"]), (0, 1 << 62, [bytes(32)] * 64),
])  # fmt: skip
def test_a_malformed_proof_is_refused(index: int, size: int, proof: list[bytes]) -> None:
    with pytest.raises(SignatureRefusal, match="malformed"):
        merkle.root_hash(bytes(32), index, size, proof)
