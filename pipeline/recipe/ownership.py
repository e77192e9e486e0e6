"""Stage: the origin of each path of a recipe's image: a package, or the recipe itself (pipeline.model.origins)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.model import origins
from pipeline.model.digest import Digest
from pipeline.model.origins import Origin
from pipeline.model.path_resolution import resolve
from pipeline.model.tree import Tree, complete, files
from pipeline.packages.copyright import licenses
from pipeline.packages.package import Package
from pipeline.recipe import assemble, deb
from pipeline.store import Store

VERSION = f"1 {assemble.VERSION}"

FILE = "origins.json"
"""Path of the result in its tree."""
COPYRIGHT_LIMIT = 1 << 20
"""Maximum size of a copyright file that is read, in bytes: twice the kernel's."""
DOCUMENTS = "usr/share/doc/"
DISTRIBUTIONS = ("debian", "ubuntu")
"""Archives' names start with that of their distribution: debian-security, ubuntu-ports."""


def ownership(
    store: Store, unpacked: Digest, *, recipe: str, tag: str, packages: Sequence[Any], kernel: bool, **contents: Any
) -> Digest:
    """Returns Tree {FILE}: the origins of the paths in the image that `assemble.image` makes of the same parameters.

    packages: the locked ones (JSON forms of Package). Members of a kernel image's kernel.tar are `kernel.tar/PATH`.
    """
    tree, owner = assemble.contents(store, unpacked, **contents)
    known = _of_packages(store, recipe, tag, packages, store.tree(unpacked), {*owner.values()})
    own = Origin("recipe", recipe, tag)
    found = {path: known.get(owner.get(path, ""), own) for path in tree}
    if kernel:
        found = _as_kernel(found, assemble.kernel_release(tree), own)
    return store.put_tree(files([(FILE, store.content(origins.dump(found)))]))


def load(store: Store, result: Digest) -> origins.Origins:
    """Returns the origins in a result of `ownership`, or of another stage of this form."""
    return origins.load(store.bytes(store.tree(result).file(FILE).content))


def _as_kernel(found: Mapping[str, Origin], release: str, own: Origin) -> origins.Origins:
    """Returns the origins after the paths were arranged as `assemble.as_kernel` does."""
    archived = assemble.archived(found, release)
    gone = {*archived.values()}
    result = {path: each for path, each in found.items() if path not in gone and path.partition("/")[0] != "boot"}
    result["kernel"] = found[assemble.KERNELS + release]
    if config := found.get(assemble.CONFIGS_OF_KERNELS + release):
        result["kernel-config"] = config
    result["kernel.tar"] = own
    return result | {f"kernel.tar/{place}": found[path] for place, path in archived.items()}


def _of_packages(
    store: Store, recipe: str, tag: str, packages: Sequence[Any], unpacked: Tree, names: set[str]
) -> dict[str, Origin]:
    """Returns the origin of the files of each package of `names`, by name."""
    known = (Package.parse(each) for each in packages)
    inside = ((path.partition("/")[2], entry) for path, entry in unpacked.items())
    documents = complete(Tree((path, entry) for path, entry in inside if path.startswith(DOCUMENTS)))
    return {each.name: _of_package(store, recipe, each, documents) for each in known if each.name in names}


def _of_package(store: Store, recipe: str, package: Package, documents: Tree) -> Origin:
    fields = deb.control(store, package.name, package.digest)
    source, _, version = fields.get("source", package.name).partition(" ")
    distribution = next((each for each in DISTRIBUTIONS if package.archive.startswith(each)), package.archive)
    return Origin(
        "deb",
        package.name,
        package.version,
        package.architecture,
        package.digest,
        within=recipe,
        distribution=distribution or DISTRIBUTIONS[0],
        release=package.suite.partition("-")[0],
        source=source,
        source_version=version.strip("() ") or package.version,
        licenses=licenses(_copyright(store, package.name, documents)),
    )


def _copyright(store: Store, name: str, documents: Tree) -> str:
    """Returns the text of a package's copyright file, which may be another package's (Debian Policy 12.5); or ""."""
    place = resolve(documents, f"{DOCUMENTS}{name}/copyright")
    file = documents.get_file(place) if place else None
    if file is None or file.size > COPYRIGHT_LIMIT:
        return ""
    return store.bytes(file.content).decode("utf-8", "replace")
