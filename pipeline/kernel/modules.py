"""Modules: the dependency data of a kernel's modules (depmod(8)), and a kernel's modules cut down to some of them.

modprobe finds a module, and what it needs first, through the files modules.dep, modules.alias, … (modules.dep(5)) that
depmod writes where a kernel is installed. Here no kernel is ever installed, so they are computed from the tree: in
depmod's order and wording, so that its own output can be compared, and as the binary indexes that kmod wants.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from pipeline.kernel.kmod_index import Entry as IndexEntry
from pipeline.kernel.kmod_index import index, normalized
from pipeline.kernel.modinfo import Module, is_module, module_name
from pipeline.kernel.module_graph import dependencies, depmod_order, scan
from pipeline.language.problem import StageProblem, StageProblems, suggestion
from pipeline.model import tree as trees
from pipeline.model.tree import EPOCH, File, Tree, complete, parents
from pipeline.store import Store

VERSION = 1

GIVEN = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
"""Files that the kernel's own build makes; depmod takes them as they are."""

_DEVICE = re.compile(r"(char|block)-major-([0-9]+)-([0-9]+)")


def releases(tree: Mapping[str, trees.Entry]) -> list[str]:
    """The kernel releases that have modules in `tree`: `6.1.0-56-cloud-amd64`."""
    found = {path.split("/")[2] for path in tree if path.startswith("lib/modules/") and is_module(path)}
    return sorted(found)


def depmod(store: Store, tree: Tree, release: str) -> dict[str, bytes]:
    """What depmod(8) would write into lib/modules/`release` of `tree`: file name -> contents.

    BadModule names a module that cannot be read.
    """
    folder = f"lib/modules/{release}/"
    order, builtin, modinfo = (_given(store, tree, folder + name) for name in GIVEN)
    modules = depmod_order(scan(store, tree, folder), order.splitlines())
    needs = {m.name: " ".join([m.path + ":", *(other.path for other in needed)]) for m, needed in dependencies(modules)}
    texts = {name: "".join(line + "\n" for line in lines) for name, lines in _texts(modules, needs).items()}
    encoded = {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}
    indexes = _indexes(modules, needs) | {
        "modules.builtin.bin": ((module_name(path), "", 0) for path in builtin.splitlines()),
        "modules.builtin.alias.bin": _keys(_builtin_aliases(modinfo), {}),
    }
    return encoded | {name: index(entries) for name, entries in indexes.items()}


def _texts(modules: Sequence[Module], needs: Mapping[str, str]) -> dict[str, Iterable[str]]:
    """The text files, as lines. needs: module -> its line in modules.dep."""
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
    """The same for kmod: what its indexes hold. The first module in depmod's order counts most."""
    priority = {module.name: number for number, module in enumerate(modules)}
    return {
        "modules.dep.bin": ((name, line, priority[name]) for name, line in needs.items()),
        "modules.alias.bin": _keys(_aliases(modules), priority),
        "modules.symbols.bin": ((symbol, name, priority[name]) for symbol, name in _symbols(modules)),
    }


def cut(store: Store, tree: Tree, patterns: Sequence[str]) -> Tree:
    """`tree` with only those of its modules that `patterns` select, and what they need, and data about these alone.

    patterns: names (`virtio-net`; "_" and "-" are the same), globs of names (`virtio_*`), or, with a slash, globs of
        paths below lib/modules/RELEASE (`kernel/fs/xfs/*`; here `*` crosses slashes).
    A module needs those whose symbols it uses and those that its soft dependencies name. StageProblems, at ("modules",
    index), for a pattern that selects nothing, not even something built into the kernel.
    """
    found = releases(tree)
    if not found and patterns:
        raise StageProblem(("modules",), "the kernel image has no modules to choose from")
    result = Tree((path, entry) for path, entry in tree.items() if not path.startswith("lib/modules/"))
    for release in found:
        folder = f"lib/modules/{release}/"
        modules = scan(store, tree, folder)
        kept = {folder + module.path for module in _needed(modules, _selected(store, tree, folder, modules, patterns))}
        part = Tree((path, tree[path]) for path in tree if path in kept or path.removeprefix(folder) in GIVEN)
        part.update({above: tree[above] for path in part for above in parents(path) if above in tree})
        result.update(with_data(store, part, release))
    return result.ordered()


def with_data(store: Store, tree: Tree, release: str, mtime: int = EPOCH) -> Tree:
    """`tree` with what `depmod` computes for `release` in its place."""
    computed = depmod(store, tree, release)
    data = {f"lib/modules/{release}/{name}": store.content(text) for name, text in computed.items()}
    written = {path: File(0o644, 0, 0, mtime, (), content) for path, content in data.items()}
    return complete(Tree({**tree, **written}).ordered())


def _selected(
    store: Store, tree: Tree, folder: str, modules: Sequence[Module], patterns: Sequence[str]
) -> Iterator[Module]:
    """The modules that `patterns` name. StageProblems: every pattern that selects nothing."""
    problems = []
    builtin = [module_name(path) for path in _given(store, tree, folder + "modules.builtin").splitlines()]
    for number, pattern in enumerate(patterns):
        name = pattern.replace("-", "_")
        if "/" in pattern:
            found = [module for module in modules if fnmatchcase(module.path, pattern)]
        else:
            found = [module for module in modules if fnmatchcase(module.name, name)]
        if not found and not any(fnmatchcase(each, name) for each in builtin):
            near = suggestion(name, [module.name for module in modules] + builtin)
            problems.append(StageProblem(("modules", number), f"the kernel has no module {pattern!r}", near))
        yield from found
    if problems:
        raise StageProblems(problems)


def _needed(modules: Sequence[Module], selected: Iterable[Module]) -> set[Module]:
    """`selected`, and all that they need."""
    symbols = {module.name: needed for module, needed in dependencies(modules)}
    named = {module.name: module for module in modules}
    aliased: dict[str | None, list[Module]] = {}
    for module in modules:
        for alias in module.aliases:
            aliased.setdefault(normalized(alias), []).append(module)
    needed: set[Module] = set()
    todo = list(selected)
    while todo:
        module = todo.pop()
        if module not in needed:
            needed.add(module)
            todo += symbols[module.name]
            for soft in _soft(module):
                todo += [named[soft]] if soft in named else aliased.get(soft, [])
    return needed


def _soft(module: Module) -> Iterator[str]:
    """What the soft dependencies of `module` name: "pre: a b post: c" (modprobe.d(5)); modules, or aliases of some."""
    for text in module.softdeps:
        for word in text.split():
            if word not in ("pre:", "post:"):
                yield word.replace("-", "_")


def _given(store: Store, tree: Mapping[str, trees.Entry], path: str) -> str:
    entry = tree.get(path)
    return store.bytes(entry.content).decode("utf-8", "surrogateescape") if type(entry) is File else ""


def _aliases(modules: Iterable[Module]) -> Iterator[tuple[str, str]]:
    return ((alias, module.name) for module in modules for alias in module.aliases)


def _symbols(modules: Iterable[Module]) -> list[tuple[str, str]]:
    """`symbol:NAME` and who exports it, sorted; depmod has them in the order of a hash table."""
    exported = ((symbol.decode("utf-8", "surrogateescape"), m.name) for m in modules for symbol in m.exports)
    return sorted((f"symbol:{symbol}", name) for symbol, name in exported)


def _keys(aliases: Iterable[tuple[str, str]], priority: Mapping[str, int]) -> Iterator[IndexEntry]:
    """The aliases that can be looked up, as they are looked up."""
    for alias, name in aliases:
        if (key := normalized(alias)) is not None:
            yield key, name, priority.get(name, 0)


def _builtin_aliases(modinfo: str) -> Iterator[tuple[str, str]]:
    """Aliases of what is built into the kernel: modules.builtin.modinfo holds `name.key=value` texts."""
    for text in modinfo.split("\0"):
        subject, _, value = text.partition("=")
        name, _, key = subject.partition(".")
        if key == "alias":
            yield value, name


def _devices(modules: Iterable[Module]) -> Iterator[str]:
    """`fuse fuse c10:229`: the device nodes that some modules serve, by the first pair of aliases that says so."""
    for module in modules:
        name = number = ""
        for alias in module.aliases:
            if alias.startswith("devname:"):
                name = alias.removeprefix("devname:")
            elif found := _DEVICE.match(alias):
                number = f"{found[1][0]}{found[2]}:{found[3]}"
            if name and number:
                yield f"{module.name} {name} {number}"
                break
