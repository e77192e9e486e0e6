"""Extended headers of tar entries."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci import pax
from pipeline.oci.error import Refusal

keys = st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key and b"\0" not in key)


def record(key, value):
    body = b" " + key + b"=" + value + b"\n"
    size = len(body)
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    return str(size).encode() + body


@given(st.lists(st.tuples(keys, st.binary(max_size=120)), max_size=6))
def test_records_come_back_as_they_were_written(records):
    body = b"".join(record(*each) for each in records)
    assert pax.parse(body) == records == pax.parse(body + b"\0" * 17)


@pytest.mark.parametrize("body", [b"x", b"99 a=b\n", b"6 a=\n", b"7 a=bc\0", b"6 =bc\n", b"-6 a=b\n"])
def test_malformed_records_are_refused(body):
    with pytest.raises(Refusal, match="extended header"):
        pax.parse(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_records_or_refused(body):
    try:
        pax.parse(body)
    except Refusal:
        return


def test_the_last_of_two_counts_and_times_are_rounded_down():
    found = pax.header([(b"path", b"a"), (b"path", b"b"), (b"mtime", b"-1.5"), (b"uid", b"7")])
    assert (found.path, found.mtime, found.uid, found.size) == (b"b", -2, 7, None)


def test_both_spellings_of_attributes_are_read():
    records = [(b"SCHILY.xattr.user.a", b"1"), (b"LIBARCHIVE.xattr.user.b%20c", base64.b64encode(b"22").rstrip(b"="))]
    assert dict(pax.header(records).xattrs) == {"user.a": b"1", "user.b c": b"22"}


@pytest.mark.parametrize("key", [b"path", b"size", b"uid"])
def test_a_global_header_decides_nothing(key):
    pax.check_global([(b"comment", b"x")])
    with pytest.raises(Refusal):
        pax.check_global([(key, b"1")])
