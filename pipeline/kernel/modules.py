"""Kernel modules: selection of modules with their dependencies, and the dependency data of depmod(8).

modprobe reads modules.dep, modules.alias, … (modules.dep(5)), which depmod writes when a kernel is installed. Here they
are computed from the tree, in depmod's order and format, with the binary indexes of kmod.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from pipeline.kernel.kmod_index import Entry as IndexEntry
from pipeline.kernel.kmod_index import index, normalize
from pipeline.kernel.modinfo import Module, is_module, module_name
from pipeline.kernel.module_graph import dependencies, depmod_order, scan
from pipeline.language.problem import StageProblem, StageProblems, suggestion
from pipeline.model import tree as trees
from pipeline.model.tree import EPOCH, File, Tree, complete, parents
from pipeline.store import Store

VERSION = 1

BUILD_FILES = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
"""Files of the kernel's build, which depmod reads and does not write."""

_DEVICE = re.compile(r"(char|block)-major-([0-9]+)-([0-9]+)")


def releases(tree: Mapping[str, trees.Entry]) -> list[str]:
    """Returns the kernel releases with modules in `tree`, sorted: `6.1.0-56-cloud-amd64`."""
    return sorted({path.split("/")[2] for path in tree if path.startswith("lib/modules/") and is_module(path)})


def depmod(store: Store, tree: Tree, release: str) -> dict[str, bytes]:
    """Returns the files that depmod(8) would write into lib/modules/`release`: name -> contents. BadModule."""
    folder = f"lib/modules/{release}/"
    order, builtin, modinfo = (_read(store, tree, folder + name) for name in BUILD_FILES)
    modules = depmod_order(scan(store, tree, folder), order.splitlines())
    needs = {m.name: " ".join([m.path + ":", *(used.path for used in uses)]) for m, uses in dependencies(modules)}
    texts = {name: "".join(line + "\n" for line in lines) for name, lines in _texts(modules, needs).items()}
    encoded = {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}
    indexes = _indexes(modules, needs) | {
        "modules.builtin.bin": ((module_name(path), "", 0) for path in builtin.splitlines()),
        "modules.builtin.alias.bin": _keys(_builtin_aliases(modinfo), {}),
    }
    return encoded | {name: index(entries) for name, entries in indexes.items()}


def _texts(modules: Sequence[Module], needs: Mapping[str, str]) -> dict[str, Iterable[str]]:
    """Returns the text files as lines. needs: module -> its line in modules.dep."""
    aliases = [f"alias {alias} {name}" for alias, name in _aliases(modules)]
    symbols = [f"alias {symbol} {name}" for symbol, name in _symbols(modules)]
    softdeps = [f"softdep {m.name} {text}" for m in modules for text in m.softdeps]
    devices = list(_devices(modules))
    return {
        "modules.dep": needs.values(),
        "modules.alias": ["# Aliases extracted from modules themselves.", *aliases],
        "modules.symbols": ["# Aliases for symbols, used by symbol_request().", *symbols],
        "modules.softdep": ["# Soft dependencies extracted from modules themselves.", *softdeps],
        "modules.devname": ["# Device nodes to trigger on-demand module loading.", *devices] if devices else [],
    }


def _indexes(modules: Sequence[Module], needs: Mapping[str, str]) -> dict[str, Iterable[IndexEntry]]:
    """Returns the entries of the binary indexes. The first module in depmod's order has the highest priority."""
    priority = {module.name: number for number, module in enumerate(modules)}
    return {
        "modules.dep.bin": ((name, line, priority[name]) for name, line in needs.items()),
        "modules.alias.bin": _keys(_aliases(modules), priority),
        "modules.symbols.bin": ((symbol, name, priority[name]) for symbol, name in _symbols(modules)),
    }


def cut(store: Store, tree: Tree, patterns: Sequence[str]) -> Tree:
    """Returns `tree` with only the modules that `patterns` select and their dependencies, and new dependency data.

    patterns: names (`virtio-net`; "_" and "-" are equal), globs of names (`virtio_*`), or, with a slash, globs of paths
        below lib/modules/RELEASE (`kernel/fs/xfs/*`, where `*` matches slashes).
    Dependencies are those by symbols and soft dependencies. StageProblems, at ("modules", index), for a pattern that
    matches neither a module nor one that is built into the kernel.
    """
    if patterns and not releases(tree):
        raise StageProblem(("modules",), "the kernel image has no modules")
    result = Tree((path, entry) for path, entry in tree.items() if not path.startswith("lib/modules/"))
    for release in releases(tree):
        folder = f"lib/modules/{release}/"
        modules = scan(store, tree, folder)
        selected = _selected(store, tree, folder, modules, patterns)
        kept = {folder + module.path for module in _with_dependencies(modules, selected)}
        part = Tree((path, tree[path]) for path in tree if path in kept or path.removeprefix(folder) in BUILD_FILES)
        part.update({parent: tree[parent] for path in part for parent in parents(path) if parent in tree})
        result.update(with_data(store, part, release))
    return result.ordered()


def with_data(store: Store, tree: Tree, release: str, mtime: int = EPOCH) -> Tree:
    """Returns `tree` with the files of `depmod` for `release`."""
    computed = depmod(store, tree, release)
    data = {f"lib/modules/{release}/{name}": store.content(text) for name, text in computed.items()}
    written = {path: File(0o644, 0, 0, mtime, (), content) for path, content in data.items()}
    return complete(Tree({**tree, **written}).ordered())


def _selected(
    store: Store, tree: Tree, folder: str, modules: Sequence[Module], patterns: Sequence[str]
) -> Iterator[Module]:
    """Yields the modules that `patterns` match. StageProblems with every pattern that matches nothing."""
    problems = []
    builtin = [module_name(path) for path in _read(store, tree, folder + "modules.builtin").splitlines()]
    for number, pattern in enumerate(patterns):
        name = pattern.replace("-", "_")
        if "/" in pattern:
            matches = [module for module in modules if fnmatchcase(module.path, pattern)]
        else:
            matches = [module for module in modules if fnmatchcase(module.name, name)]
        if not matches and not any(fnmatchcase(other, name) for other in builtin):
            hint = suggestion(name, [module.name for module in modules] + builtin)
            problems.append(StageProblem(("modules", number), f"the kernel has no module {pattern!r}", hint))
        yield from matches
    if problems:
        raise StageProblems(problems)


def _with_dependencies(modules: Sequence[Module], selected: Iterable[Module]) -> set[Module]:
    by_symbol = {module.name: used for module, used in dependencies(modules)}
    by_name = {module.name: module for module in modules}
    by_alias: dict[str | None, list[Module]] = {}
    for module in modules:
        for alias in module.aliases:
            by_alias.setdefault(normalize(alias), []).append(module)
    result: set[Module] = set()
    todo = list(selected)
    while todo:
        module = todo.pop()
        if module not in result:
            result.add(module)
            todo += by_symbol[module.name]
            for name in _soft_dependencies(module):
                todo += [by_name[name]] if name in by_name else by_alias.get(name, [])
    return result


def _soft_dependencies(module: Module) -> Iterator[str]:
    """Yields the names or aliases in the soft dependencies of `module`: "pre: a b post: c" (modprobe.d(5))."""
    for text in module.softdeps:
        for word in text.split():
            if word not in ("pre:", "post:"):
                yield word.replace("-", "_")


def _read(store: Store, tree: Mapping[str, trees.Entry], path: str) -> str:
    entry = tree.get(path)
    return store.bytes(entry.content).decode("utf-8", "surrogateescape") if type(entry) is File else ""


def _aliases(modules: Iterable[Module]) -> Iterator[tuple[str, str]]:
    return ((alias, module.name) for module in modules for alias in module.aliases)


def _symbols(modules: Iterable[Module]) -> list[tuple[str, str]]:
    """Returns `symbol:NAME` with the exporting module, sorted; depmod's order is that of a hash table."""
    exported = ((symbol.decode("utf-8", "surrogateescape"), m.name) for m in modules for symbol in m.exports)
    return sorted((f"symbol:{symbol}", name) for symbol, name in exported)


def _keys(aliases: Iterable[tuple[str, str]], priority: Mapping[str, int]) -> Iterator[IndexEntry]:
    """Yields index entries for the aliases that can be looked up."""
    for alias, name in aliases:
        if (key := normalize(alias)) is not None:
            yield key, name, priority.get(name, 0)


def _builtin_aliases(modinfo: str) -> Iterator[tuple[str, str]]:
    """Yields the aliases of built-in modules; modules.builtin.modinfo contains `name.key=value` strings."""
    for text in modinfo.split("\0"):
        subject, _, value = text.partition("=")
        name, _, key = subject.partition(".")
        if key == "alias":
            yield value, name


def _devices(modules: Iterable[Module]) -> Iterator[str]:
    """Yields `fuse fuse c10:229` for modules that serve a device node, from their first pair of aliases for one."""
    for module in modules:
        name = number = ""
        for alias in module.aliases:
            if alias.startswith("devname:"):
                name = alias.removeprefix("devname:")
            elif match := _DEVICE.match(alias):
                number = f"{match[1][0]}{match[2]}:{match[3]}"
            if name and number:
                yield f"{module.name} {name} {number}"
                break
