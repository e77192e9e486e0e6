"""init: the images that make the root file system: /init, the container runtime, whatever runs outside containers."""

from __future__ import annotations

from typing import Any

from pipeline.action import Action
from pipeline.language.bundles import compat_of
from pipeline.language.container import Checked
from pipeline.language.names import Reference, wrong_reference
from pipeline.parts import Context, Part
from pipeline.stages import root_image

ORDER = 20
Value = tuple[Reference, ...]


def parts(value: tuple[str, ...], context: Context, below: tuple[Part, ...]) -> list[Part]:
    """One part an image, and one for the database of Alpine packages, which all of them share."""
    images = [context.image(reference) for reference in value]
    names = _names(value)
    params = {"epoch": context.epoch}
    planned = [
        Part(name, Action(name, root_image.unpack, params, (image.tree,), context.spec.below("init", index)))
        for index, (name, image) in enumerate(zip(names, images, strict=True))
    ]
    if len(images) > 1:
        trees = tuple(image.tree for image in images)
        stamp = 0 if compat_of(context) else context.epoch
        planned.append(Part("init/apk", Action("init/apk", root_image.packages, {"epoch": stamp}, trees)))
    return planned


def problems(value: tuple[str, ...], spec: Any) -> Checked:
    for index, reference in enumerate(value):
        if message := wrong_reference(reference):
            yield (index,), message, ""


def _names(references: tuple[str, ...]) -> list[str]:
    """`init/runc` for linuxkit/runc:tag; the second runc is `init/runc-2`."""
    names: list[str] = []
    for reference in references:
        last = reference.partition("@sha")[0].rpartition("/")[2].partition(":")[0] or "image"
        count = sum(1 for name in names if name.partition("#")[0] == last) + 1
        names.append(last if count == 1 else f"{last}#{count}")
    return ["init/" + name.replace("#", "-") for name in names]
