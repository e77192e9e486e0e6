"""volumes: directories that several containers mount, blank or out of an image, writable or not."""

from __future__ import annotations

import re
from typing import Any, Literal

from pipeline.container.names import ReferenceOrNone, VolumeName, reference_problem
from pipeline.engine.action import Action
from pipeline.language.problem import Violations
from pipeline.language.schema import mapping
from pipeline.sections import Section
from pipeline.spec.bundles import VOLUMES
from pipeline.spec.components import Component, Context, References, placed
from pipeline.spec.spec import Spec
from pipeline.stages import origins, volume

PLATFORM = re.compile(r"linux/[a-z0-9_]+(/v[0-9]+)?")


@mapping
class Volume:
    """A volume. Containers mount it by its name: `binds: ["data:/var/data"]`."""

    name: VolumeName
    """Its name, of a-z, 0-9, `_` and `-`. Two volumes need different ones."""
    image: ReferenceOrNone | None = None
    """The image whose files it starts with. Blank by default."""
    readonly: bool = False
    """True for a volume that cannot be written to. It has to be mounted with the option `ro`."""
    format: Literal["filesystem", "oci"] = "filesystem"
    """`filesystem`: the files of the image. `oci`: the image itself, as an OCI image layout."""
    platforms: tuple[str, ...] | None = None
    """The platforms of the layout (`linux/amd64`), the node's own by default. Only with format oci."""

    def problems(self) -> Violations:
        if message := reference_problem(self.image) if self.image else "":
            yield ("image",), message, ""
        if self.format == "oci" and not self.image:
            yield ("format",), f"the volume {self.name!r} of format oci names no image", "image: ..."
        if self.platforms is not None and self.format != "oci":
            yield ("platforms",), "platforms need format: oci", ""
        for index, each in enumerate(self.platforms or ()):
            if not PLATFORM.fullmatch(each):
                yield ("platforms", index), f"{each!r} is not a platform", "linux/amd64, linux/arm64, linux/arm/v7, …"


def components(value: tuple[Volume, ...], context: Context, below: tuple[Component, ...]) -> list[Component]:
    return [_component(index, each, context) for index, each in enumerate(value)]


def _component(index: int, each: Volume, context: Context) -> Component:
    name, prefix, where = f"volumes/{each.name}", f"{VOLUMES}/{each.name}", context.spec.below("volumes", index)
    params: dict[str, Any] = {"prefix": prefix, "epoch": context.epoch}
    if not each.image:
        return Component(name, Action(name, volume.volume, params, (), where), prefix)
    image = context.image(each.image)
    if each.format == "filesystem":
        tree = Action(name, volume.volume, params, (image.tree,), where)
        return Component(name, tree, prefix, origins=placed(name, tree, image, f"{prefix}/lower"))
    platforms = each.platforms or ()
    layouts = [context.image(each.image, platform.removeprefix("linux/")) for platform in platforms] or [image]
    params |= {"reference": image.reference, "platforms": list(platforms)}
    manifests = tuple(layout.manifest for layout in layouts)
    tree = Action(name, volume.layout, params, manifests, where)
    origin = {"kind": "image", "name": image.reference}
    return Component(name, tree, prefix, origins=Action(f"origins/{name}", origins.whole, {"origin": origin}, (tree,)))


def images(value: tuple[Volume, ...]) -> References:
    return (((index, "image"), each.image) for index, each in enumerate(value) if each.image)


def problems(value: tuple[Volume, ...], spec: Spec) -> Violations:
    first: dict[str, int] = {}
    for index, each in enumerate(value):
        if first.setdefault(each.name, index) != index:
            earlier = spec.where(("volumes", first[each.name], "name"))
            yield (index, "name"), f"duplicate volume name: {each.name!r}", f"also at {earlier}"


SECTION = Section(30, tuple[Volume, ...], components, images, problems)
