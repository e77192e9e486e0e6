"""init: the images that make the root file system: /init, the container runtime, whatever runs outside containers."""

from __future__ import annotations

from pipeline.container.names import Reference, reference_problem
from pipeline.engine.action import Action
from pipeline.language.problem import Violations
from pipeline.sections import Section
from pipeline.spec.bundles import is_linuxkit
from pipeline.spec.components import Component, Context, References, placed
from pipeline.spec.spec import Spec
from pipeline.stages import root_image


def components(value: tuple[str, ...], context: Context, below: tuple[Component, ...]) -> list[Component]:
    """One component for each image, and one for the database of Alpine packages, which all images share."""
    images = [context.image(reference) for reference in value]
    names = _names(value)
    params = {"epoch": context.epoch}
    planned = []
    for index, (name, image) in enumerate(zip(names, images, strict=True)):
        tree = Action(name, root_image.unpack, params, (image.tree,), context.spec.below("init", index))
        planned.append(Component(name, tree, origins=placed(name, tree, image, "")))
    if len(images) > 1:
        trees = tuple(image.tree for image in images)
        stamp = 0 if is_linuxkit(context) else context.epoch
        planned.append(Component("init/apk", Action("init/apk", root_image.packages, {"epoch": stamp}, trees)))
    return planned


def images(value: tuple[str, ...]) -> References:
    return (((index,), reference) for index, reference in enumerate(value))


def problems(value: tuple[str, ...], spec: Spec) -> Violations:
    for index, reference in enumerate(value):
        if message := reference_problem(reference):
            yield (index,), message, ""


def _names(references: tuple[str, ...]) -> list[str]:
    """Names of components: `init/runc` for linuxkit/runc:tag, `init/runc-2` for the second runc."""
    names: list[str] = []
    for reference in references:
        last = reference.partition("@sha")[0].rpartition("/")[2].partition(":")[0] or "image"
        count = sum(1 for name in names if name.partition("#")[0] == last) + 1
        names.append(last if count == 1 else f"{last}#{count}")
    return ["init/" + name.replace("#", "-") for name in names]


SECTION = Section(20, tuple[Reference, ...], components, images, problems)
