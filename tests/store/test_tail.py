"""A file that is read behind its writer."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import tail
from pipeline.store.tail import Tail


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.integers(0, 10))
def test_a_reader_gets_what_the_writer_writes(tmp_path_factory, pieces, start):
    path, end = tmp_path_factory.mktemp("tail") / "file", Tail()
    data = b"".join(pieces)
    start = min(start, len(data))
    with open(path, "w+b", buffering=0) as file:

        def write():
            with end:
                for piece in pieces:
                    file.seek(0, 2)
                    file.write(piece)
                    end.reached(end.end + len(piece))

        thread = threading.Thread(target=write)
        thread.start()
        with open(path, "rb") as other:
            assert b"".join(tail.read(other, end, start, len(data) - start)) == data[start:]
        thread.join()


def test_an_error_of_the_writer_fails_the_reader(tmp_path):
    (tmp_path / "file").write_bytes(b"some")
    end = Tail()
    with pytest.raises(OSError), end:
        end.reached(4)
        raise OSError
    with open(tmp_path / "file", "rb") as file, pytest.raises(EOFError):
        list(tail.read(file, end, 0, 4))
