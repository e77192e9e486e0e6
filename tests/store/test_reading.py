"""Reading contents: what comes is what the slices name, however they lie, and in few pieces."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incremental import open_store
from pipeline.model.tree import Slice, length
from pipeline.store import CHUNK, Damaged
from pipeline.store.reading import SMALL, WINDOW
from pipeline.store.tail import Tail, read

DATA = [bytes((at * step >> 3) & 0xFF for at in range(3 * WINDOW[1])) for step in (1, 7)]
EDGES = (0, 1, WINDOW[0] - 1, WINDOW[0], SMALL - 1, SMALL, WINDOW[1], len(DATA[0]))


@st.composite
def slices(draw):
    which = draw(st.sampled_from((None, 0, 1)))
    start = draw(st.sampled_from(EDGES) | st.integers(0, len(DATA[0])))
    count = min(draw(st.sampled_from(EDGES) | st.integers(0, 2000)), len(DATA[0]) - start)
    return which, start, count


@given(st.lists(slices(), max_size=30))
@settings(max_examples=150)
def test_what_is_read_is_what_the_slices_name(tmp_path_factory, wanted):
    store = open_store(tmp_path_factory.getbasetemp() / "reading")
    blobs = [store.put(data) for data in DATA]
    content = [Slice(None if which is None else blobs[which], start, count) for which, start, count in wanted]
    chunks = list(store.read(tuple(content)))
    expected = (bytes(count) if which is None else DATA[which][start : start + count] for which, start, count in wanted)
    assert b"".join(chunks) == b"".join(expected)
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks)


@pytest.mark.parametrize("backwards", [False, True])
def test_small_slices_come_together(tmp_path, backwards):
    store = open_store(tmp_path)
    blob = store.put(DATA[0])
    content = tuple(Slice(blob, at, 100) for at in range(0, len(DATA[0]) - 100, 128))[:: -1 if backwards else 1]
    assert len(list(store.read(content))) == -(-length(content) // CHUNK)


@pytest.mark.parametrize("count", [10, SMALL])
def test_a_blob_that_ends_early_is_damaged(tmp_path, count):
    store = open_store(tmp_path)
    blob = store.put(DATA[0])
    with pytest.raises(Damaged):
        list(store.read((Slice(blob, len(DATA[0]) - 5, count),)))


def test_a_reader_comes_behind_the_writer(tmp_path):
    came = []
    with open(tmp_path / "file", "w+b", buffering=0) as file:
        tail = Tail(100)
        thread = threading.Thread(target=lambda: came.append(b"".join(read(file, tail, 100, len(DATA[0])))))
        thread.start()
        file.seek(100)
        for at in range(0, len(DATA[0]), 70_000):
            file.write(DATA[0][at : at + 70_000])
            tail.reached(100 + min(at + 70_000, len(DATA[0])))
        thread.join()
    assert came == [DATA[0]]


def test_a_reader_does_not_wait_for_a_writer_that_failed(tmp_path):
    with open(tmp_path / "file", "w+b", buffering=0) as file:
        with pytest.raises(ZeroDivisionError), Tail() as tail:
            raise ZeroDivisionError
        with pytest.raises(EOFError):
            list(read(file, tail, 0, 1))
