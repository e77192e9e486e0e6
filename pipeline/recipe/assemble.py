"""Stage: packages and a recipe become an image with one layer (image-spec v1.1: manifest.md, config.md, layer.md).

The layer is a tar that depends on nothing but the packages' contents and the recipe: entries in path order, with the
packages' time stamps, and EPOCH for the recipe's own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.kernel import modules
from pipeline.language.problem import KeyPath, StageProblem, StageProblems
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.path_resolution import resolve
from pipeline.model.tree import EPOCH, Content, Directory, Entry, File, Symlink, Tree, complete, overlay, parents
from pipeline.oci.manifest import CONFIGS, LAYERS, MANIFESTS
from pipeline.recipe.globs import matching, selected, unmatched
from pipeline.recipe.layout import ALIASES, merged, merged_tree, relative
from pipeline.recipe.needs import Missing, needs
from pipeline.recipe.tag import describe, tag
from pipeline.store import Store
from pipeline.writers import tar

VERSION = f"3 tar-{tar.VERSION} modules-{modules.VERSION}"

CREATED = "1980-01-01T00:00:00Z"
"""EPOCH in RFC 3339."""
DEVICE_TREES = "lib/linux-image-"
"""Prefix of the folder of device trees in Debian's kernels, below usr/; the kernel's release follows."""
DTB = "boot/dtb"
KERNELS = "boot/vmlinuz-"
"""Prefix of a kernel's path in Debian's packages; its release follows."""
CONFIGS_OF_KERNELS = "boot/config-"
"""Prefix of the path of a kernel's configuration; its release follows."""
VARIANTS = {"arm64": "v8", "arm": "v7"}
"""Variants of the architectures that Debian's packages are made for (containerd's platforms, normalized)."""


def image(
    store: Store,
    unpacked: Digest,
    *,
    reference: str,
    arch: str,
    keep: Sequence[str],
    drop: Sequence[str],
    provided: Sequence[str],
    concatenate: Mapping[str, Sequence[str]],
    kernel: bool,
    files: Sequence[Mapping[str, Any]],
    symlinks: Mapping[str, Sequence[str]],
    config: Mapping[str, Any],
) -> Digest:
    """Returns the image's manifest. unpacked: a Tree with one folder a package; the rest as in `actions.image`.

    StageProblem, at the recipe's key, for faults that only the packages show: patterns without a match, files that
    clash, programs whose libraries are nowhere.
    """
    tree, _ = contents(
        store,
        unpacked,
        arch=arch,
        keep=keep,
        drop=drop,
        provided=provided,
        concatenate=concatenate,
        files=files,
        symlinks=symlinks,
    )
    if kernel:
        tree = as_kernel(store, tree)
    return _image(store, _layer(store, tree), reference, arch, config)


def contents(
    store: Store,
    unpacked: Digest,
    *,
    arch: str,
    keep: Sequence[str],
    drop: Sequence[str],
    provided: Sequence[str],
    concatenate: Mapping[str, Sequence[str]],
    files: Sequence[Mapping[str, Any]],
    symlinks: Mapping[str, Sequence[str]],
) -> tuple[Tree, dict[str, str]]:
    """Returns the tree of the image's files, and the package of each path; the others are the recipe's own.

    The parameters and the errors are those of `image`.
    """
    packages = {name: merged_tree(tree) for name, tree in _packages(store.tree(unpacked)).items()}
    chosen = _selected(packages, keep, drop)
    of_recipe = own(store, _concatenated(packages, concatenate), files)

    def laid(chosen: Mapping[str, Tree]) -> tuple[Tree, dict[str, str]]:
        tree, owner = joined(store, chosen)
        places = _in_place(of_recipe, tree, of_recipe)
        upper = complete(Tree(zip(places, of_recipe.values(), strict=True)))
        tree = overlay(tree, upper)
        links = complete(_links(tree, symlinks))
        return overlay(tree, links), _without(owner, upper, links)

    tree, _ = laid(chosen)
    usable = {name: selected(each, (), [*map(merged, drop)]) for name, each in packages.items()}
    pool = Tree((path, entry) for each in reversed(usable.values()) for path, entry in each.items()).ordered()
    needed = needs(tree, pool, store.range, arch, provided)
    _check(needed.missing, keep, files)
    tree, owner = laid(_completed(usable, chosen, pool, needed.places))
    links = complete(needed.links)
    tree = overlay(tree, links)
    return tree, {path: name for path, name in _without(owner, links).items() if path in tree}


def _without(owner: Mapping[str, str], *uppers: Tree) -> dict[str, str]:
    """Returns the packages of the paths that none of `uppers`, the recipe's own trees, has."""
    return {path: name for path, name in owner.items() if not any(path in upper for upper in uppers)}


def _image(store: Store, layer: Digest, reference: str, arch: str, config: Mapping[str, Any]) -> Digest:
    """Stores and tags an image with one layer; returns its manifest."""
    platform = {"architecture": arch, "os": "linux"} | ({"variant": VARIANTS[arch]} if arch in VARIANTS else {})
    history = [{"created": CREATED, "created_by": f"recipe {reference}"}]
    rootfs = {"type": "layers", "diff_ids": [layer]}
    document = {**platform, "created": CREATED, "config": config, "rootfs": rootfs, "history": history}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": describe(store, CONFIGS[0], store.put(canonical_json(document))),
        "layers": [describe(store, LAYERS[0], layer)],
    }
    digest = store.put(canonical_json(manifest))
    tag(store, reference, describe(store, MANIFESTS[0], digest, platform=platform))
    return digest


def joined(store: Store, packages: Mapping[str, Tree]) -> tuple[Tree, dict[str, str]]:
    """Joins packages; also returns the package of each path. Several may have the same directory (the first by name
    counts), or an identical file.

    A file that dpkg would settle by `Replaces` or by a diversion is a clash here, as the recipe does not choose.
    """
    result: dict[str, Entry] = {}
    owner: dict[str, str] = {}
    for name in sorted(packages):
        for path, entry in packages[name].items():
            if path not in owner:
                result[path], owner[path] = entry, name
            elif not _is_same(store, result[path], entry):
                message = f"{path!r} is not the same in the packages {owner[path]} and {name}"
                raise StageProblem(("packages",), message, "drop it, or leave one of them out")
    return Tree(result).ordered(), owner


def own(store: Store, concatenated: Mapping[str, Content], files: Sequence[Mapping[str, Any]]) -> Tree:
    """Returns the recipe's own entries: concatenated files, and `files`."""
    tree = Tree((path, File(0o644, 0, 0, EPOCH, (), content)) for path, content in concatenated.items())
    for file in files:
        metadata = (int(file["mode"], 8), file["uid"], file["gid"], EPOCH)
        if "contents" in file:
            content = store.content(file["contents"].encode("utf-8", "surrogateescape"))
            tree[file["path"]] = File(*metadata, (), content)
        elif "symlink" in file:
            tree[file["path"]] = Symlink(0o777, *metadata[1:], (), file["symlink"])
        else:
            tree[file["path"]] = Directory(*metadata)
    return tree.ordered()


def as_kernel(store: Store, tree: Tree) -> Tree:
    """Arranges `tree` as LinuxKit's kernel images: /kernel, and /kernel.tar with modules and their dependency data.

    Kept device trees go to boot/dtb in kernel.tar; a kept configuration, which has the compressions that the kernel can
    unpack, becomes /kernel-config.
    """
    release = kernel_release(tree)
    archive = {place: tree[path] for place, path in archived(tree, release).items()}
    if (releases := modules.releases(archive)) != [release]:
        raise StageProblem(("kernel",), f"the kernel is {release}, its modules are for {', '.join(releases) or 'none'}")
    rope = store.rope()
    tar.write(modules.with_data(store, complete(archive), release), rope)
    rest = selected(tree, (), ("boot", "lib/modules", "usr/lib/modules", f"usr/{DEVICE_TREES}{release}"))
    files: dict[str, Entry] = {
        "kernel": tree[KERNELS + release],
        "kernel.tar": File(0o644, 0, 0, EPOCH, (), rope.finish()),
    }
    config = tree.get(CONFIGS_OF_KERNELS + release)
    return overlay(rest, files | ({"kernel-config": config} if config else {}))


def kernel_release(tree: Mapping[str, Entry]) -> str:
    """Returns the release of the only kernel in `tree`. StageProblem."""
    kernels = [path for path in tree if path.startswith(KERNELS)]
    if len(kernels) != 1:
        raise StageProblem(("kernel",), f"exactly one {KERNELS}* is needed, not {', '.join(kernels) or 'none'}")
    return kernels[0].removeprefix(KERNELS)


def archived(tree: Iterable[str], release: str) -> dict[str, str]:
    """Returns the paths in kernel.tar, but for dependency data: path there -> path in `tree`."""
    moved = {path.removeprefix("usr/").replace(DEVICE_TREES + release, DTB, 1): path for path in tree}
    return {place: path for place, path in moved.items() if (place + "/").startswith(("lib/modules/", DTB + "/"))}


def _packages(unpacked: Tree) -> dict[str, Tree]:
    """Splits NAME/path into the tree of each package."""
    packages: dict[str, Tree] = {}
    for path, entry in unpacked.items():
        name, _, rest = path.partition("/")
        if type(entry) is File and entry.inode:
            entry = entry._replace(inode=entry.inode.partition("/")[2])
        packages.setdefault(name, Tree())[rest] = entry
    return packages


def _selected(packages: Mapping[str, Tree], keep: Sequence[str], drop: Sequence[str]) -> dict[str, Tree]:
    paths = [path for tree in packages.values() for path in tree]
    in_place, dropped = [*map(merged, keep)], [*map(merged, drop)]
    for number in unmatched(in_place, paths):
        raise StageProblem(("keep", number), f"{keep[number]!r} matches nothing in the packages")
    return {name: selected(tree, in_place, dropped) for name, tree in packages.items()}


def _completed(
    usable: Mapping[str, Tree], chosen: Mapping[str, Tree], pool: Tree, places: frozenset[str]
) -> dict[str, Tree]:
    """Returns `chosen` with `places` of the packages, and with the copyright of each package that gives a file."""
    files = {
        name: {path for path, entry in chosen[name].items() if type(entry) is not Directory} | places & set(tree)
        for name, tree in usable.items()
    }
    wanted = places.union(*(_copyright(pool, name) for name in files if files[name]))
    wanted |= {above for path in wanted for above in parents(path)}
    return {
        name: Tree((path, tree[path]) for path in tree if path in chosen[name] or path in wanted).relinked()
        for name, tree in usable.items()
    }


def _copyright(pool: Tree, name: str) -> set[str]:
    """Returns the places of a package's copyright, which another package's may be a link to (Debian Policy 12.5)."""
    folder = f"usr/share/doc/{name}"
    places = {folder, f"{folder}/copyright", resolve(pool, f"{folder}/copyright") or ""}
    return {place for place in places if type(pool.get(place)) in (File, Symlink)}


def _check(missing: Sequence[Missing], keep: Sequence[str], files: Sequence[Mapping[str, Any]]) -> None:
    """Raises StageProblems for programs with missing needs, each at the key that it comes from.

    A package's script may lack its interpreter: packages have scripts for other programs' use.
    """
    places: dict[str, KeyPath] = {file["path"]: ("files", number, "path") for number, file in enumerate(files)}
    names: dict[str, list[str]] = {}
    for user, name, by, is_script in missing:
        if not is_script or user in places:
            names.setdefault(user, []).append(name if by == user else f"{name} (for {by})")
    for user in names.keys() - places.keys():
        above = [user, *parents(user)]
        numbers = (number for number, glob in enumerate(keep) if matching(above, [merged(glob)]))
        places[user] = next((("keep", number) for number in numbers), ("packages",))
    hint = "name its package, drop what needs it, or list it under provided"
    problems = [
        StageProblem(places[user], f"{user!r} needs {', '.join(needed)}, which none of the packages has", hint)
        for user, needed in names.items()
    ]
    if problems:
        raise StageProblems(problems)


def _concatenated(packages: Mapping[str, Tree], concatenate: Mapping[str, Sequence[str]]) -> dict[str, Content]:
    files = {path: file for name in sorted(packages) for path, file in packages[name].files().items()}
    result = {}
    for path, globs in concatenate.items():
        sources = matching(sorted(files), map(merged, globs))
        if not sources:
            raise StageProblem(("concatenate", path), "nothing in the packages matches")
        result[path] = tuple(slice for source in sources for slice in files[source].content)
    return result


def _in_place(paths: Iterable[str], *trees: Tree) -> list[str]:
    """Returns the recipe's own `paths`, below usr/ if they lie in one of ALIASES that is a link in one of `trees`."""
    links = {alias for alias in ALIASES for tree in trees if type(tree.get(alias)) is Symlink}
    return [merged(path) if path.partition("/")[0] in links else path for path in paths]


def _links(tree: Tree, symlinks: Mapping[str, Sequence[str]]) -> Tree:
    """Returns the recipe's `symlinks`: target -> paths of links to it."""
    places: dict[str, str] = {}
    for target, paths in symlinks.items():
        place = target if target in tree else merged(target)
        if place not in tree:
            raise StageProblem(("symlinks", target), f"there is no {target!r} in the image")
        places |= dict.fromkeys(_in_place(paths, tree), place)
    return Tree((path, Symlink(0o777, 0, 0, EPOCH, (), relative(places[path], path))) for path in sorted(places))


def _is_same(store: Store, one: Entry, other: Entry) -> bool:
    """Returns whether two packages may share the entry: equal but for the time stamp and hard links."""
    if type(one) is Directory:
        return type(other) is Directory
    if type(one) is not File or type(other) is not File:
        return one._replace(mtime=0) == other._replace(mtime=0)
    if one._replace(mtime=0, content=(), inode="") != other._replace(mtime=0, content=(), inode=""):
        return False
    return one.size == other.size and store.bytes(one.content) == store.bytes(other.content)


def _layer(store: Store, tree: Tree) -> Digest:
    """Stores `tree` as a tar in one blob, with the content of its files copied."""
    rope = store.rope()
    tar.write(tree, rope)
    with store.create() as blob:
        for chunk in store.read(rope.finish()):
            blob.write(chunk)
        return blob.commit()
