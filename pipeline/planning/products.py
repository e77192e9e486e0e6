"""The products of a plan, of which formats are made: the kernel, the root file system, and initial RAM disks.

components -> root -> fragments -> initrd
         \\-> rootfs
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.compression import compress
from pipeline.engine.action import Action
from pipeline.model.tree import parents
from pipeline.planning.images import PKG, Images
from pipeline.spec.build import BuildOptions
from pipeline.spec.components import Component
from pipeline.spec.spec import Spec
from pipeline.stages import compression, initrd, root

COMPRESSIONS = ("zstd", "gzip")
"""Compressions that are chosen where a spec names none. Of an initrd: the first that its kernel can unpack."""


@dataclass(frozen=True, eq=False, repr=False)
class Products:
    """An action for every name of formats.Product, planned when a format needs it."""

    spec: Spec
    arch: str
    components: tuple[Component, ...]
    images: Images
    epoch: int

    @property
    def build(self) -> BuildOptions:
        return self.spec.build

    @cached_property
    def kernel(self) -> Action:
        """Gives a flat Tree {"kernel", "cmdline", "ucode.cpio"}; an empty one if the node has no kernel."""
        return next((each.boot for each in self.components if each.boot), Action("boot", root.nothing))

    @cached_property
    def rootfs(self) -> Action:
        return Action("rootfs", root.rootfs, self._stamp, tuple(each.tree for each in self.components))

    @cached_property
    def initrd(self) -> Action:
        fragments = [self._fragment(name, tree) for name, tree in _fragments(self.components, self._stamp)]
        return Action("initrd", initrd.initrd, {}, (self.kernel, *fragments))

    @cached_property
    def inventory(self) -> Action:
        """The parts of the node, and the part that owns each file of the root (pipeline.stages.inventory)."""
        from pipeline.planning.inventories import inventory_of

        return inventory_of(self)

    @cached_property
    def bootrd(self) -> Action:
        """The RAM disk that mounts a root file system. It needs an image that the spec may not name."""
        return self.verity_bootrd if self.build.verity else self._bootrd("bootrd", {}, "init")

    @cached_property
    def verity_bootrd(self) -> Action:
        """The same with dm-verity."""
        return self._bootrd("verity-bootrd", {"verity": True}, "init", "dmsetup")

    def _bootrd(self, name: str, params: dict[str, Any], *recipes: str) -> Action:
        from pipeline.stages import initramfs

        contents = kernel_contents(self.components)
        image, tar = (contents.inputs, contents.params["tar"]) if contents else ((), "")
        modules = Action(f"{name}/modules", initramfs.modules, {"tar": tar} | params, image)
        tools = (self.images(f"{PKG}images/{recipe}").tree for recipe in recipes)
        tree = Action(f"{name}/tree", initramfs.ramdisk, {}, (modules, *tools))
        return Action(f"{name}/initrd", initrd.initrd, {}, (self.kernel, self._fragment(name, tree)))

    @cached_property
    def release(self) -> Action:
        """The node's name and version. It depends on no service, so that a change of one does not change it."""
        from pipeline.stages import unified

        loose = tuple(running(each) for each in self.components if not each.prefix)
        return Action("release", unified.release, {}, loose)

    @cached_property
    def _stamp(self) -> dict[str, Any]:
        """Parameters of the directories that no component has."""
        implied = {above for each in self.components for above in parents(each.prefix)}
        return {"directories": sorted(implied), "epoch": self.epoch}

    def _fragment(self, name: str, tree: Action) -> Action:
        options, choice = self._compression
        return Action(f"fragment/{name}", initrd.fragment, options, (tree, *choice), tree.where)

    @cached_property
    def _compression(self) -> tuple[dict[str, str], tuple[Action, ...]]:
        """The compression of fragments: an option if the spec names one, else an action that reads the kernel's."""
        kernel = kernel_contents(self.components)
        if self.build.compress or kernel is None:
            return {"compress": chosen_compression(self.build)}, ()
        choices = [str(compress.parse(name)) for name in COMPRESSIONS]
        params = {"binary": kernel.params["binary"], "choices": choices}
        return {}, (Action("compression", compression.compression, params, kernel.inputs, kernel.where),)


def chosen_compression(build: BuildOptions) -> str:
    """Name and level, so that another default gives another key."""
    return str(compress.parse(build.compress or COMPRESSIONS[0]))


def kernel_contents(components: Iterable[Component]) -> Action | None:
    """The action that takes the kernel and its modules out of an image."""
    return next((each.boot.inputs[0] for each in components if each.boot), None)


def running(component: Component) -> Action:
    """The action that gives what a running node has of a component."""
    return component.running or component.tree


def _fragments(components: tuple[Component, ...], stamp: dict[str, Any]) -> Iterator[tuple[str, Action]]:
    """Yields name and tree of each fragment, in the order in which the kernel unpacks them.

    That is the order of components, but that what changes most comes late, so that an initrd starts as its predecessor:
    components below the first placed one, images, containers' configurations, components that are laid over them.
    """
    first = next((at for at, each in enumerate(components) if each.prefix), len(components))
    base, rest = components[:first], components[first:]
    placed = [each for each in rest if each.prefix]
    loose = [*base, *(each for each in rest if not each.prefix)]
    overlay = Action("root", root.partition_overlay, stamp, tuple(map(running, loose)))
    names = [(each.name, each.tree.where) for each in loose] or [("directories", None)]
    shares = [
        (name, Action(f"root/{name}", root.select, {"number": number}, (overlay,), where))
        for number, (name, where) in enumerate(names)
    ]
    under = len(base) or 1  # the first share also has the directories above placed components
    yield from shares[:under]
    for name, stage in (("image", root.bundle_image), ("frame", root.bundle_metadata)):
        for each in placed:
            title = f"{each.name}/{name}"
            yield title, Action(title, stage, {"prefix": each.prefix}, (each.tree,), each.tree.where)
    yield from shares[under:]
