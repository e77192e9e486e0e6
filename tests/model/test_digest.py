"""Names of content, and the bytes of a value that is named."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import LENGTHS, Digest, InvalidDigest, canonical_json, is_digest

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.lists(st.binary()))
def test_a_digest_is_the_sha256_of_the_bytes_however_they_come(chunks):
    data = b"".join(chunks)
    assert Digest.of_chunks(chunks) == Digest.of(data) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert Digest.parse(Digest.of(data)).hex == hashlib.sha256(data).hexdigest()


GOOD = "sha256:" + "0a" * 32
BAD = [
    "", "sha256:", GOOD.upper(), GOOD[:-1], GOOD + "0", GOOD + "\n", " " + GOOD, "md5:" + "0" * 32, "../" + GOOD,
    "sha512:" + "0" * 64, GOOD.replace("a", "g"), None, 7, GOOD.encode(),
]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_anything_else_is_refused(text):
    assert not is_digest(text)
    with pytest.raises(InvalidDigest, match="not a digest"):
        Digest.parse(text)


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_both_algorithms_are_known(algorithm):
    assert Digest.parse(f"{algorithm}:{'0' * LENGTHS[algorithm]}").algorithm == algorithm


@given(values)
def test_canonical_json_is_ascii_and_gives_the_value_back(value):
    data = canonical_json(value)
    assert data.isascii() and json.loads(data) == value and canonical_json(json.loads(data)) == data


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_count(mapping):
    assert canonical_json(mapping) == canonical_json(dict(reversed(mapping.items())))
    with pytest.raises(ValueError):
        canonical_json(float("nan"))
