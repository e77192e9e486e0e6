"""DER: what is written is read again, openssl reads it, and nothing that is not DER passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pipeline.ondisk import der
from tests.judges import need, run

contents = some.binary(max_size=70_000)


@given(some.sampled_from([der.OCTET_STRING, der.SEQUENCE, 0xA0]), contents)
def test_an_element_is_read_as_it_was_written(tag, content):
    data = der.encode(tag, content)
    assert der.read(data) == (tag, content, data)
    assert der.children(data * 3) == [der.read(data)] * 3 and der.first(data + b"more") == der.read(data)


@given(some.integers(0, 1 << 2100))
def test_an_integer_is_the_shortest_that_is_not_negative(value):
    content = der.expect(der.read(der.integer(value)), der.INTEGER)
    assert int.from_bytes(content, "big", signed=True) == value
    assert len(content) == 1 or not (content[0] == 0 and content[1] < 0x80)


def test_openssl_reads_it(tmp_path):
    path = tmp_path / "element"
    path.write_bytes(der.encode(der.SEQUENCE, der.identifier("1.3.6.1.4.1.311.2.1.4"), der.integer(300)))
    text = run(need("openssl"), "asn1parse", "-inform", "DER", "-in", path).stdout
    assert "Microsoft Individual Code Signing" in text or "1.3.6.1.4.1.311.2.1.4" in text or "SpcIndirectData" in text
    assert "012C" in text


@pytest.mark.parametrize("data", [
    b"", b"\x30", b"\x30\x01", b"\x30\x80\0\0", b"\x04\x81\x01x", b"\x04\x82\x00\x81" + bytes(129), b"\x1f\x81\x01x",
    b"\x04\x84\xff\xff\xff\xff", b"\x04\x01xx", b"\x04\x85\x00\x00\x00\x00\x01x",
])  # fmt: skip
def test_what_is_not_one_element_is_refused(data):
    with pytest.raises(ValueError, match=r"element|length|tag|follow"):
        der.read(data)


@given(some.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        element = der.read(data)
    except ValueError:
        return
    assert der.encode(element.tag, element.content) == data
