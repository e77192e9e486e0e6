"""Random graphs of actions, small enough that hundreds are built in a test, and what must hold of a store."""

import hashlib
import random

from pipeline.engine.action import Action, closure
from pipeline.engine.gc import blobs, records
from pipeline.model.digest import Digest
from pipeline.model.tree import File, files
from pipeline.store import Store

VERSION = 1


def mix(store: Store, *inputs: Digest, seed: int, size: int) -> Digest:
    """Own bytes, all bytes of the inputs by reference, and one file that depends on every byte of the inputs."""
    rope, digest = store.rope(), hashlib.sha256(b"%d" % seed)
    for given in inputs:
        for entry in store.tree(given).files().values():
            rope.extend(entry.content)
            for data in store.read(entry.content):
                digest.update(data)
    rope.zeros(seed % 3 * 100)
    rope.write(random.Random(digest.digest()).randbytes(size))
    return store.put_tree(files([("mixed", rope.finish()), ("sum", store.content(digest.digest()))]))


def graph(seed: int, most: int = 8) -> list[Action]:
    """The last actions of a random graph: those that no other action needs."""
    chance = random.Random(seed)
    made: list[Action] = []
    for number in range(chance.randint(2, most)):
        inputs = tuple(chance.sample(made, chance.randint(0, min(3, len(made)))))
        params = {"seed": chance.randrange(1000), "size": chance.choice([0, 1, 100, 5000])}
        made.append(Action(f"stage{number}", mix, params, inputs))
    needed = {id(given) for action in made for given in action.inputs}
    return [action for action in made if id(action) not in needed]


def build(store: Store, actions: list[Action]) -> dict[str, bytes]:
    """Everything that `actions` and their inputs give, as bytes."""

    def whole(result: Digest) -> bytes:
        return b"".join(store.bytes(entry.content) for entry in store.tree(result).values() if type(entry) is File)

    return {action.key: action.use(store, whole) for action in closure(*actions)}


def check_whole(store: Store) -> None:
    """Every object is what its name says, and every record has its result: what a kill may leave at any time."""
    sizes = {}
    for blob, path in blobs(store):
        assert Digest.of(path.read_bytes()) == blob
        sizes[blob] = path.stat().st_size
    for path, record in records(store):
        assert record is not None, path
        assert sizes[record.result] == record.size
        for entry in store.tree(record.result).files().values():
            assert all(blob is None or start + size <= sizes[blob] for blob, start, size in entry.content)
