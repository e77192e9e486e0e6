"""The action that gives a node's inventory, of which bills of materials are made (pipeline.stages.inventory)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline import formats
from pipeline.engine.action import Action
from pipeline.planning.images import PKG, Images
from pipeline.planning.unbuildable import boot_image
from pipeline.spec.components import Component, Image
from pipeline.spec.spec import Spec
from pipeline.stages import inventory, origins

if TYPE_CHECKING:
    from pipeline.planning.products import Products

MADE = {"kind": "made"}
"""The origin of what nodekiln makes, as a parameter."""


def inventory_of(products: Products) -> Action:
    """Returns the action for the inventory of the root file system, of what starts it in the spec's formats, and of
    what bills of materials of its images name."""
    owners = Action("origins", origins.node, {}, (products.rootfs, *map(_origins, products.components)))
    loaders = list(_boot_images(products.spec, products.images))
    pairs = (action for image in loaders for action in (image.tree, _of_image(image)))
    params = {"name": products.spec.name, "arch": products.arch, "epoch": products.epoch}
    bills = products.images.bills([products.rootfs, *(image.tree for image in loaders)])
    count = {"bills": len(bills)} if bills else {}
    return Action("inventory", inventory.inventory, params | count, (products.rootfs, owners, *pairs, *bills))


def _origins(component: Component) -> Action:
    return component.origins or _made(component.name, component.tree)


def _of_image(image: Image) -> Action:
    return image.origins or _made(image.reference, image.tree)


def _made(name: str, tree: Action) -> Action:
    return Action(f"origins/{name}", origins.whole, {"origin": MADE}, (tree,))


def _boot_images(spec: Spec, images: Images) -> Iterator[Image]:
    """Yields the images that the spec's formats are made of besides the root: boot loaders, and tools of a bootrd."""
    known = [name for name in spec.build.formats if formats.known(name)]
    references = [boot_image(spec, recipe) for name in known for recipe in sorted(formats.recipes(name))]
    references += [f"{PKG}images/{name}" for name in _tools(spec, known)]
    yield from map(images, sorted(set(references)))


def _tools(spec: Spec, names: Iterable[str]) -> Iterator[str]:
    """Yields the recipes of the tools in a bootrd of the formats `names`."""
    needed = {product for name in names for product in formats.products(name)}
    if needed & {"bootrd", "verity_bootrd"}:
        yield "init"
    if "verity_bootrd" in needed or ("bootrd" in needed and spec.build.verity):
        yield "dmsetup"
