"""Files with equal bytes have one identity."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import Store
from pipeline.writers.dedup import SMALL, identities


@given(
    st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"x" * (SMALL + 1), b"y" * (SMALL + 1)]), max_size=9),
    st.booleans(),
)
def test_identities_are_equal_for_equal_bytes_alone(tmp_path_factory, datas, apart):
    store = Store(tmp_path_factory.getbasetemp() / "twins")
    contents = {}
    for number, data in enumerate(datas):
        half = len(data) // 2 if apart and number % 2 else 0
        contents[str(number)] = store.content(data[:half]) + store.content(data[half:])
    found = dict(identities(contents, store.read))
    assert list(found) == list(contents)
    for one, first in enumerate(datas):
        for two, second in enumerate(datas):
            assert (found[str(one)] == found[str(two)]) == (first == second)
