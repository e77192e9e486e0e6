"""Modgraph: which of a kernel's modules need which others, in the order in which depmod(8) writes it down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.kernel.modinfo import Module, is_module, read
from pipeline.model.errors import BadInput
from pipeline.model.tree import Entry, File
from pipeline.oci.layer import buffer
from pipeline.store import Store


def scan(store: Store, tree: Mapping[str, Entry], folder: str) -> list[Module]:
    """The modules below `folder` (with its final slash), by path. Of two of a name the one in updates/ counts."""
    from concurrent.futures import ThreadPoolExecutor

    found = {
        path: entry.content
        for path, entry in tree.items()
        if path.startswith(folder) and is_module(path) and type(entry) is File
    }

    def one(path: str) -> Module:
        with buffer(store, found[path]) as data:
            return read(path.removeprefix(folder), data[:])

    with ThreadPoolExecutor() as pool:
        modules = list(pool.map(one, found))
    modules.sort(key=lambda module: (module.path.startswith("updates/"), module.path))
    return sorted({module.name: module for module in modules}.values())


def depmod_order(modules: Iterable[Module], order: Sequence[str]) -> list[Module]:
    """`modules` as depmod numbers them: first those of modules.order (whose paths know no compression)."""
    place = {path: number for number, path in enumerate(order)}
    return sorted(modules, key=lambda module: (place.get(_uncompressed(module.path), len(place)), module.path))


def dependencies(modules: Sequence[Module]) -> Iterator[tuple[Module, list[Module]]]:
    """Each module with all modules that it needs, in depmod's order: what is used comes after what uses it.

    A module needs those that export the symbols that it uses; what none of them exports is the kernel's own.
    BadInput if modules need each other in a circle.
    """
    named = {module.name: module for module in modules}
    exporter = {symbol: module for module in modules for symbol in module.exports}
    direct = {}
    for module in modules:
        used = dict.fromkeys(exporter[symbol].name for symbol in module.uses if symbol in exporter)
        direct[module.name] = [named[name] for name in used if name != module.name]
    rank = _ranked(modules, direct)
    known: dict[str, set[str]] = {}
    for name in sorted(rank, key=lambda name: -rank[name]):
        known[name] = {each.name for each in direct[name]}.union(*(known[each.name] for each in direct[name]))
    for module in modules:
        yield module, [named[name] for name in sorted(known[module.name], key=lambda name: rank[name])]


def _ranked(modules: Sequence[Module], direct: Mapping[str, Sequence[Module]]) -> dict[str, int]:
    """depmod's topological order: users before what they use, the last module that became free first."""
    users = {module.name: 0 for module in modules}
    for needed in direct.values():
        for module in needed:
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
    if circle := sorted(users.keys() - rank.keys()):
        raise BadInput(f"kernel modules need each other in a circle: {', '.join(circle)}")
    return rank


def _uncompressed(path: str) -> str:
    return path[: path.rindex(".ko") + len(".ko")]
