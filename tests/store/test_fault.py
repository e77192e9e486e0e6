"""What is lost or damaged is made again and comes out the same; what cannot be written says so in one line."""

import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.action import Action, NotReproducible, closure
from pipeline.engine.fsck import check
from pipeline.engine.gc import blobs
from pipeline.incremental import open_store
from pipeline.model.digest import Digest
from pipeline.model.tree import File, Slice, only
from pipeline.store import Damaged, Missing, Store, StoreError
from tests.engine.graphs import build, check_whole, graph, mix
from tests.engine.test_kill import in_a_child
from tests.judges import needs_root

VERSION = 1
NOBODY = 65534


@pytest.mark.parametrize("seed", range(20))
def test_any_blobs_may_be_deleted(store, seed):
    chance, actions = random.Random(seed), graph(seed)
    right = build(store, actions)
    for _, path in list(blobs(store)):
        if chance.random() < 0.5:
            path.unlink()
    assert build(open_store(store.root), actions) == right
    check_whole(store)


@pytest.mark.parametrize("seed", range(20))
def test_any_blobs_may_be_cut_short(store, seed):
    """Trees are verified whenever they are read; content is found to be short when its bytes are wanted."""
    chance, actions = random.Random(seed), graph(seed)
    right = build(store, actions)
    for _, path in list(blobs(store)):
        if chance.random() < 0.3:
            path.chmod(0o644)
            os.truncate(path, chance.randrange(path.stat().st_size))
    assert build(open_store(store.root), actions) == right


def flip(path: Path, chance: random.Random) -> None:
    """Turn one bit of a file over, keeping its time stamp."""
    stamp, data = path.stat(), bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@pytest.mark.parametrize("seed", range(20))
def test_fsck_finds_every_flipped_bit_and_the_next_build_is_right(store, seed):
    chance, actions = random.Random(seed), graph(seed)
    right = build(store, actions)
    flipped = [path for _, path in blobs(store) if chance.random() < 0.3]
    records = [path for path in (store.root / "actions").glob("*/*") if chance.random() < 0.2]
    for path in flipped + records:
        flip(path, chance)
    found = check(store)
    assert {damage.path for damage in found} >= set(flipped)
    check_whole(store)
    assert check(store) == []
    assert build(open_store(store.root), actions) == right


def test_a_flipped_bit_does_not_get_into_a_file_that_is_exported(store, tmp_path):
    action = Action("big", mix, {"seed": 1, "size": 3 << 20})

    def publish(result: Digest) -> Digest:
        entry = store.tree(result).file("mixed")
        return store.export(entry.content, tmp_path / "out")

    first = action.use(store, publish)
    largest = max((path for _, path in blobs(store)), key=lambda path: path.stat().st_size)
    flip(largest, random.Random(1))
    (tmp_path / "out").unlink()
    assert action.use(store, publish) == first == Digest.of((tmp_path / "out").read_bytes())


def picky(store: Store, *inputs: Digest, limit: int) -> Digest:
    """A stage that fails on bytes that it does not expect."""
    [entry] = store.tree(inputs[0]).values()
    assert type(entry) is File
    if store.bytes(entry.content) != b"text" * limit:
        raise ValueError("this is not the text")
    return inputs[0]


def text(store: Store, *, times: int) -> Digest:
    return store.put_tree(only("text", store.content(b"text" * times)))


def test_a_stage_that_fails_on_a_damaged_input_is_called_again_with_a_whole_one(store):
    source = Action("text", text, {"times": 100})
    source.perform(store)
    flip(store.path(Digest.of(b"text" * 100)), random.Random(2))
    result, ran = Action("picky", picky, {"limit": 100}, (source,)).perform(store)
    assert ran and store.has(result)
    with pytest.raises(ValueError, match="this is not the text"):
        Action("picky", picky, {"limit": 99}, (source,)).perform(store)


def moody(store: Store) -> Digest:
    """A stage that is not what a stage must be."""
    return store.put_tree(only("mood", store.content(os.urandom(8))))


def test_a_result_that_comes_out_differently_names_the_stage(store):
    action = Action("services/moody", moody)
    first, _ = action.perform(store)
    store.path(first).unlink()
    with pytest.raises(NotReproducible, match=r"^services/moody: not reproducible"):
        action.perform(store)
    assert action.perform(store)[1], "the next build goes on with the new result"


def test_a_blob_that_keeps_getting_lost_is_an_error_not_a_loop(store):
    with pytest.raises(Missing, match=Digest.of(b"never stored")):
        Action("lost", lost).perform(store)


def lost(store: Store) -> Digest:
    store.get(Digest.of(b"never stored"))
    raise AssertionError


def test_slices_beyond_the_end_of_a_blob_are_damage(store, tmp_path):
    digest = store.put(b"short")
    with pytest.raises(Damaged):
        store.bytes((Slice(digest, 3, 4),))
    assert not store.has(digest)
    digest = store.put(b"x" * (2 << 20))
    with pytest.raises(Damaged):
        store.export((Slice(digest, 1, 2 << 20),), tmp_path / "out")
    assert not any(tmp_path.glob("*out*"))


@pytest.mark.parametrize("seed", range(5))
def test_processes_threads_and_two_names_of_one_folder_compute_each_action_once(tmp_path, seed):
    (tmp_path / "cache").mkdir()
    (tmp_path / "link").symlink_to("cache")
    program = (
        "import sys, pathlib; from tests.engine.graphs import *; from pipeline.incremental import open_store\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "store = open_store(pathlib.Path(sys.argv[1])); actions = list(closure(*graph(int(sys.argv[2]))))\n"
        "with ThreadPoolExecutor(4) as pool: ran = list(pool.map(lambda action: action.perform(store)[1], actions))\n"
        "print(sum(ran))"
    )
    builds = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path / name, str(seed)], stdout=subprocess.PIPE)
        for name in ("cache", "link", "cache")
    ]
    ran = [int(process.communicate()[0]) for process in builds]
    store = open_store(tmp_path / "cache")
    recorded = set((store.root / "actions").glob("*/*"))
    calls = {action.hash([given.perform(store)[0] for given in action.inputs]) for action in closure(*graph(seed))}
    assert sum(ran) <= len(calls), "an action ran twice"
    assert len(recorded) >= len(calls)
    check_whole(store)


def test_a_clock_that_goes_back_changes_nothing(store):
    actions = graph(3)
    right = build(store, actions)
    for path in store.root.rglob("*"):
        os.utime(path, (2**32, 2**32))
    assert build(open_store(store.root), actions) == right
    assert not any(action.perform(store)[1] for action in closure(*actions))


# a store that cannot be written


@contextlib.contextmanager
def small(folder: Path, size: int):
    """`folder` as a file system with room for `size` bytes."""
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_clear_line_and_leaves_whole_objects(tmp_path):
    action = Action("big", mix, {"seed": 1, "size": 3 << 20})
    with small(tmp_path, 2 << 20):
        store = open_store(tmp_path / "cache")
        with pytest.raises(StoreError, match=r"no space left for .*cache: free some, or run `doit gc`"):
            action.perform(store)
        check_whole(store)
        assert [path.suffix for path in (store.root / "tmp").iterdir()] == [".lock"]
        build(store, graph(1))  # what is small still has room


def test_a_full_disk_under_the_result_is_told_from_a_full_store(tmp_path, store):
    content = store.content(random.Random(1).randbytes(3 << 20))
    (tmp_path / "build").mkdir()
    with small(tmp_path / "build", 2 << 20):
        with pytest.raises(StoreError, match=r"no space left for .*/build/out"):
            store.export(content, tmp_path / "build" / "out")
        assert not any((tmp_path / "build").iterdir())


def test_a_limit_on_the_size_of_files_is_one_clear_line(store):
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with pytest.raises(StoreError, match="File too large"):
            Action("big", mix, {"seed": 1, "size": 3 << 20}).perform(store)

    assert in_a_child(limited) == 0
    check_whole(store)


def as_nobody(work) -> int:
    def dropped() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return in_a_child(dropped)


@pytest.fixture
def open_path():
    """A folder that another user can reach (pytest's own are private)."""
    path = Path(f"/tmp/nodekiln-test-{os.urandom(6).hex()}")
    path.mkdir(mode=0o755)
    yield path
    for each in [path, *path.rglob("*")]:
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)
    shutil.rmtree(path)


@pytest.mark.parametrize("mode", [0o555, 0o755])
def test_a_read_only_or_foreign_store_serves_what_it_has_and_says_what_it_cannot(open_path, mode):
    if mode == 0o755 and os.getuid():
        pytest.skip("another owner needs root")
    store, actions = open_store(open_path / "cache"), graph(5)
    right = build(store, actions)
    for folder in [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]:
        folder.chmod(mode)

    def restricted() -> None:
        theirs = open_store(store.root)
        assert build(theirs, actions) == right
        for write in (lambda: theirs.put(b"new"), lambda: Action("new", text, {"times": 1}).perform(theirs)):
            with pytest.raises(StoreError, match=r"cache cannot be written: Permission denied \(.*/tmp/"):
                write()

    assert as_nobody(restricted) == 0


@needs_root
def test_a_folder_that_cannot_be_made_and_a_file_in_its_place_are_one_clear_line(open_path):
    def restricted() -> None:
        with pytest.raises(StoreError, match="cannot be written: Permission denied"):
            open_store(open_path / "cache").put(b"new")

    assert as_nobody(restricted) == 0
    (open_path / "file").write_text("")
    (open_path / "nowhere").symlink_to("gone")
    for name in ("file", "nowhere"):
        with pytest.raises(StoreError, match="is no folder"):
            open_store(open_path / name).put(b"new")


def test_what_a_killed_export_left_is_taken_over(tmp_path, store):
    (tmp_path / ".out.partial").write_bytes(b"the beginning of another, much longer file")
    assert store.export(store.content(b"whole"), tmp_path / "out") == Digest.of(b"whole")
    assert (tmp_path / "out").read_bytes() == b"whole"
    assert not (tmp_path / ".out.partial").exists()
