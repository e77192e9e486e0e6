"""Edits of DER: the same structure with one element dropped, emptied, doubled, or of another tag."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.ondisk import der

CONSTRUCTED = 0x20
WRAPPERS = (der.OCTET_STRING, der.BIT_STRING)
"""Tags of elements whose contents may be an encoding of their own."""


def edits(data: bytes) -> Iterator[bytes]:
    """Yields `data`, an element, with each edit of each element in it, whatever depth."""
    element = der.read(data)
    yield from (b"", der.encode(element.tag), data + data, der.encode(element.tag ^ 1, element.content))
    prefix, inner = _inner(element)
    for number, child in enumerate(inner):
        before = prefix + b"".join(each.encoding for each in inner[:number])
        after = b"".join(each.encoding for each in inner[number + 1 :])
        for edited in edits(child.encoding):
            yield der.encode(element.tag, before, edited, after)


def _inner(element: der.Element) -> tuple[bytes, list[der.Element]]:
    """Returns the elements in `element`, and the octet before them (that of a BIT STRING)."""
    if element.tag & CONSTRUCTED:
        return b"", der.children(element.content)
    prefix = element.content[: element.tag == der.BIT_STRING]
    try:
        return prefix, der.children(element.content[len(prefix) :]) if element.tag in WRAPPERS else []
    except ValueError:
        return b"", []
