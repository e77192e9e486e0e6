"""Inclusion proofs of a Merkle tree (RFC 6962, 2.1; RFC 9162, 2.1.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pipeline.trust.error import SignatureRefusal

HASH_BYTES = 32
LONGEST = 63
"""Maximum number of hashes of a proof: the tree's size is below 2^63."""


def leaf_hash(data: bytes) -> bytes:
    """Returns the hash of the leaf `data`."""
    return hashlib.sha256(b"\0" + data).digest()


def root_hash(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Returns the root hash of a tree with `size` leaves, in which `leaf` is the hash of leaf `index`.

    SignatureRefusal if `proof` has another length than such a proof has (RFC 9162, 2.1.3.2).
    """
    if not 0 <= index < size or len(proof) > LONGEST or any(len(each) != HASH_BYTES for each in proof):
        raise SignatureRefusal("the inclusion proof is malformed")
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise SignatureRefusal("the inclusion proof is too long")
        if node & 1 or node == last:
            result = _node_hash(sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = _node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise SignatureRefusal("the inclusion proof is too short")
    return result


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
