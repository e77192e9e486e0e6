"""Exports that reuse the previous version of a file: the new content exactly, and no visible file is written to."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.fsck import check
from pipeline.engine.gc import collect
from pipeline.incremental import open_store, seed
from pipeline.incremental.chunks import LEAST
from pipeline.model.digest import Digest
from pipeline.model.tree import Slice, length
from pipeline.store import SEEDS, Missing

PATTERNS = [bytes((at * step >> 3) & 0xFF for at in range(LEAST)) * 2 for step in (1, 7, 9)]


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "cache")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def version(store, number, size=4):
    """`size` chunks that are the same in each version, and one more that is not; each is but a part of its blob."""
    texts = [b"%d" % at * LEAST for at in range(size)] + [b"<%d>" % number * LEAST]
    return tuple(Slice(store.put(b"x" + text[-LEAST:]), 1, LEAST) for text in texts)


def seeds(store):
    return list((store.root / SEEDS).iterdir())


def use(store, out, *numbers):
    for number in numbers:
        content = version(store, number)
        assert store.export(content, out) == Digest.of(out.read_bytes()) == Digest.of(store.bytes(content))


@st.composite
def contents(draw):
    """What slices a content has: (which pattern, or None for a hole, offset, length)."""
    edges = st.sampled_from((0, 1, 512, 4096, 65536, LEAST - 1, LEAST))
    return draw(st.lists(st.tuples(st.sampled_from((None, 0, 1, 2)), edges, edges), min_size=1, max_size=8))


@given(st.lists(contents(), min_size=3, max_size=6))
@settings(max_examples=60, deadline=None)
def test_whatever_was_there_the_file_is_the_content(tmp_path_factory, versions):
    store, out = open_store(tmp_path_factory.getbasetemp() / "seeds"), tmp_path_factory.getbasetemp() / "seeded"
    blobs = [store.put(pattern) for pattern in PATTERNS]
    for wanted in versions:
        content = tuple(Slice(None, 0, n) if p is None else Slice(blobs[p], o, n) for p, o, n in wanted)
        content += (Slice(blobs[0], 0, LEAST + 1),)  # so that it is no small one
        expected = store.bytes(content)
        assert store.export(content, out) == Digest.of(expected)
        assert out.read_bytes() == expected
        holes = sum(n // 4096 - 1 for p, _, n in wanted if p is None and n >= 65536)
        assert out.stat().st_blocks * 512 <= length(content) - holes * 4096 + (len(content) + 1) * 8192


def test_only_what_differs_is_read(store, out):
    use(store, out, 1, 2)
    content = version(store, 3)
    store.path(content[1].blob).unlink()
    store = open_store(store.root)  # which has nothing open
    assert store.export(content, out) == Digest.of(out.read_bytes())
    assert out.read_bytes()[LEAST : LEAST + 2] == b"11" and out.read_bytes()[-2:] == b"3>"
    with pytest.raises(Missing):
        store.export(content[1:] + content[:1], out)
    assert out.read_bytes()[-2:] == b"3>", "what failed leaves what was there"


def test_the_next_file_is_made_of_the_one_before_the_last(store, out):
    use(store, out, 1)
    first = out.stat().st_ino
    use(store, out, 2, 3)
    assert out.stat().st_ino == first
    assert len(seeds(store)) == 1


def test_a_file_that_somebody_has_open_or_mapped_is_left_to_them(store, out):
    use(store, out, 1)
    with out.open("rb") as running:
        before, number = running.read(), out.stat().st_ino
        use(store, out, 2, 3)
        assert out.stat().st_ino != number
        running.seek(0)
        assert running.read() == before
    use(store, out, 4)
    code = "import mmap,sys; f=open(sys.argv[1],'rb'); m=mmap.mmap(f.fileno(),0,access=mmap.ACCESS_READ); f.close()"
    code += "; print('', flush=True); sys.stdin.read(); print(m[-2:].decode())"
    with subprocess.Popen([sys.executable, "-c", code, out], stdin=-1, stdout=-1, text=True) as machine:
        machine.stdout.readline()
        end = out.read_bytes()[-2:].decode()
        use(store, out, 5, 6)
        assert machine.communicate("")[0].strip() == end


def test_a_file_with_another_name_is_not_kept(store, out):
    use(store, out, 1)
    os.link(out, out.with_name("mine"))
    use(store, out, 2, 3, 4)
    assert out.with_name("mine").read_bytes()[-2:] == b"1>"


@pytest.mark.parametrize("how", ["output", "seed"])
def test_what_somebody_wrote_to_is_not_used(store, out, how):
    use(store, out, 1)
    if how == "seed":
        use(store, out, 2)
    with (seeds(store)[0] if how == "seed" else out).open("r+b") as file:
        file.write(b"changed")
    use(store, out, 3, 4, 5)


@pytest.mark.parametrize("clean", [check, lambda store: collect(store, [], 0)])
def test_seeds_go_with_what_is_not_needed_and_where_all_is_checked(store, out, clean):
    use(store, out, 1, 2)
    assert seeds(store)
    clean(store)
    assert not seeds(store)
    use(store, out, 3, 4, 5)


def test_after_a_restart_all_is_written_anew(store, out, monkeypatch, tmp_path):
    use(store, out, 1, 2)
    (tmp_path / "boot").write_text("another\n")
    monkeypatch.setattr(seed, "BOOT", tmp_path / "boot")
    seed._boot.cache_clear()
    with out.open("rb") as last, seeds(store)[0].open("rb") as before:  # so that their numbers are not given again
        use(store, out, 2)
        assert out.stat().st_ino not in {os.fstat(file.fileno()).st_ino for file in (last, before)}
    seed._boot.cache_clear()


def test_where_none_can_be_kept_there_is_none(store, out, monkeypatch):
    def refused(*_, **__):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    use(store, out, 1, 2, 3)
    assert not seeds(store)


def test_where_no_lease_is_to_be_had_it_is_written_anew(store, out, monkeypatch):
    def refused(*_):
        raise OSError(22, "Invalid argument")

    use(store, out, 1, 2)
    monkeypatch.setattr(seed.fcntl, "fcntl", refused)
    with seeds(store)[0].open("rb") as before:
        use(store, out, 3)
        assert out.stat().st_ino != os.fstat(before.fileno()).st_ino
        assert before.read()[-2:] == b"1>"


def test_a_file_that_was_exported_is_left_as_long_as_it_is_that(store, tmp_path):
    large, other = store.content(bytes(range(256)) * 8192), store.content(b"other" * 500000)
    target = tmp_path / "exported"
    digest = store.export(large, target)
    first = target.stat()
    assert store.export(large, target) == digest and target.stat() == first
    with target.open("r+b") as file:
        file.write(b"\0")  # what was there already
    assert store.export(large, target) == digest and target.stat().st_ino != first.st_ino
    overwritten = b"x" * first.st_size
    for change in (lambda: target.write_bytes(overwritten), target.unlink, lambda: store.export(other, target)):
        change()
        assert store.export(large, target) == digest and target.read_bytes() == bytes(range(256)) * 8192
