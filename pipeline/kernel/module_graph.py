"""Dependencies between a kernel's modules, in the order of depmod(8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.kernel.modinfo import Module, is_module, read
from pipeline.model.errors import BadInput
from pipeline.model.tree import Entry, File
from pipeline.oci.layer import buffer
from pipeline.store import Store


def scan(store: Store, tree: Mapping[str, Entry], folder: str) -> list[Module]:
    """Reads the modules below `folder` (with final slash), sorted by path. One in updates/ replaces its namesake."""
    from concurrent.futures import ThreadPoolExecutor

    contents = {
        path: entry.content
        for path, entry in tree.items()
        if path.startswith(folder) and is_module(path) and type(entry) is File
    }

    def parse(path: str) -> Module:
        with buffer(store, contents[path]) as data:
            return read(path.removeprefix(folder), data[:])

    with ThreadPoolExecutor() as pool:
        modules = list(pool.map(parse, contents))
    modules.sort(key=lambda module: (module.path.startswith("updates/"), module.path))
    return sorted({module.name: module for module in modules}.values())


def depmod_order(modules: Iterable[Module], order: Sequence[str]) -> list[Module]:
    """Sorts modules as depmod does: first those in modules.order, whose paths have no compression suffix."""
    place = {path: number for number, path in enumerate(order)}
    return sorted(modules, key=lambda module: (place.get(_uncompressed(module.path), len(place)), module.path))


def dependencies(modules: Sequence[Module]) -> Iterator[tuple[Module, list[Module]]]:
    """Yields each module with all its direct and indirect dependencies, users before what they use (as depmod).

    A module depends on those that export the symbols it uses; the kernel exports the others. BadInput for a cycle.
    """
    by_name = {module.name: module for module in modules}
    exporter = {symbol: module for module in modules for symbol in module.exports}
    direct = {}
    for module in modules:
        used = dict.fromkeys(exporter[symbol].name for symbol in module.uses if symbol in exporter)
        direct[module.name] = [by_name[name] for name in used if name != module.name]
    rank = _ranked(modules, direct)
    closure: dict[str, set[str]] = {}
    for name in sorted(rank, key=lambda name: -rank[name]):
        closure[name] = {used.name for used in direct[name]}.union(*(closure[used.name] for used in direct[name]))
    for module in modules:
        yield module, [by_name[name] for name in sorted(closure[module.name], key=lambda name: rank[name])]


def _ranked(modules: Sequence[Module], direct: Mapping[str, Sequence[Module]]) -> dict[str, int]:
    """Returns depmod's topological order: users first, and of several free modules the last freed first."""
    users = {module.name: 0 for module in modules}
    for used in direct.values():
        for module in used:
            users[module.name] += 1
    free = [module.name for module in modules if not users[module.name]]
    rank: dict[str, int] = {}
    while free:
        name = free.pop()
        rank[name] = len(rank)
        for module in direct[name]:
            users[module.name] -= 1
            if not users[module.name]:
                free.append(module.name)
    if cycle := sorted(users.keys() - rank.keys()):
        raise BadInput(f"kernel modules depend on each other in a cycle: {', '.join(cycle)}")
    return rank


def _uncompressed(path: str) -> str:
    return path[: path.rindex(".ko") + len(".ko")]
