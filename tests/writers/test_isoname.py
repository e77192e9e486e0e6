"""Names in an ISO 9660 directory."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.tree import Directory, File
from pipeline.writers import isoname

name = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=80)
names = st.lists(name, max_size=8, unique=True)


@given(names, st.booleans())
def test_identifiers_are_different_and_within_the_standard(some, folders):
    kind = Directory(0o755, 0, 0, 0) if folders else File(0o644, 0, 0, 0)
    tree = dict.fromkeys(some, kind)
    primary = isoname.primary(tree, some)
    assert sorted(path for _, path in primary) == sorted(some)
    identifiers = [identifier for identifier, _ in primary]
    assert len(set(identifiers)) == len(some) and identifiers == sorted(identifiers)
    for identifier in identifiers:
        stem = identifier.decode("ascii").removesuffix(";1").replace(".", "", 1)
        assert set(stem) <= isoname.ALLOWED and len(stem) <= 31
    joliet = isoname.joliet(tree, some)
    assert len({identifier for identifier, _ in joliet}) == len(some)
    assert all(len(identifier) <= 2 * isoname.LONGEST_JOLIET for identifier, _ in joliet)
