"""kernel: the image with the kernel and its modules, and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.container import arches, cmdline
from pipeline.container.arches import ByArch, for_arch
from pipeline.container.names import ReferenceOrNone, reference_problem
from pipeline.engine.action import Action
from pipeline.language.problem import KeyPath, Problem, Problems, Violations
from pipeline.language.schema import mapping
from pipeline.sections import Section
from pipeline.spec.components import Component, Context, Image, References
from pipeline.spec.spec import Spec
from pipeline.stages import kernel, origins

NO_TAR = ("", "none")
"""Values of `tar` for a kernel image without a tar of modules."""


@mapping
class Kernel:
    """The kernel: an image with the kernel as a file, and beside it a tar with the modules."""

    image: ReferenceOrNone | None = None
    """The image. Without one the node has no /boot."""
    cmdline: ByArch | tuple[ByArch, ...] = ""
    """The kernel's command line, or one for each architecture: `{amd64: …, arm64: …}`; or a list of its parts, one or
    more words each, of which `{amd64: pti=on}` is for one architecture alone. At most 2047 bytes, and fewer if a boot
    loader adds words."""
    binary: str = "kernel"
    """The kernel's file in the image."""
    tar: str = "kernel.tar"
    """An uncompressed tar in the image that is unpacked over the root: modules, firmware. `""` or `none` for none."""
    ucode: str = ""
    """A cpio archive in the image with the processor's microcode; it goes before the initrd."""
    modules: tuple[ByArch, ...] | None = None
    """The modules to keep, by name or pattern (`virtio_*`), with the modules that they need. All by default. A
    module of one architecture's kernel alone is `{amd64: aesni-intel}`."""

    def problems(self) -> Violations:
        if message := reference_problem(self.image) if self.image else "":
            yield ("image",), message, ""
        for path, part in _parts(self.cmdline):
            yield from arches.problems(part, path)
        yield from list(_refused_parts(self.cmdline)) or _refused_lines(self.cmdline)
        for number, each in enumerate(self.modules or ()):
            yield from arches.problems(each, ("modules", number))


def _parts(value: ByArch | tuple[ByArch, ...]) -> Iterator[tuple[KeyPath, ByArch]]:
    """Each part of `cmdline` as it is written, and its path below the section."""
    if isinstance(value, tuple):
        return ((("cmdline", number), part) for number, part in enumerate(value))
    return iter(((("cmdline",), value),))


def _texts(value: ByArch | tuple[ByArch, ...]) -> Iterator[tuple[KeyPath, str]]:
    """Each text in `cmdline`, of all architectures, and its path below the section."""
    for path, part in _parts(value):
        texts = {(): part} if isinstance(part, str) else {(arch,): text for arch, text in part.items()}
        yield from (((*path, *below), text) for below, text in texts.items())


def _refused_parts(value: ByArch | tuple[ByArch, ...]) -> Violations:
    for path, text in _texts(value):
        if refused := cmdline.refusal(text):
            yield path, *refused


def _refused_lines(value: ByArch | tuple[ByArch, ...]) -> Violations:
    """Yields the first problem of a line that is made of several parts."""
    for arch in arches.ARCHES if isinstance(value, tuple) else ():
        if refused := cmdline.refusal(cmdline.joined(value, arch) or ""):
            yield ("cmdline",), *refused
            return


def warnings(value: Kernel, spec: Spec) -> Violations:
    for path, text in _texts(value.cmdline):
        if cmdline.unclosed(text):
            yield path, "a quotation mark is not closed: all behind it is one word for the kernel", "close it"


def components(value: Kernel, context: Context, below: tuple[Component, ...]) -> list[Component]:
    if not value.image:
        return []
    arch = context.arch
    line = cmdline.joined(value.cmdline, arch)
    if line is None:
        place = context.spec.where(("kernel", "cmdline"))
        raise Problems([Problem(place, f"there is no command line for {arch}", f"{arch}: …")])
    chosen = {number: name for number, each in enumerate(value.modules or ()) if (name := for_arch(each, arch))}
    params = {
        "binary": value.binary or Kernel.binary,
        "tar": "" if value.tar in NO_TAR else value.tar,
        "ucode": value.ucode,
        "modules": None if value.modules is None else [*chosen.values()],
        "epoch": context.epoch,
    }
    places: dict[KeyPath, KeyPath] = {("modules", at): ("modules", number) for at, number in enumerate(chosen)}
    where = _where(context.spec.below("kernel"), places)
    image = context.image(value.image)
    contents = Action("kernel/contents", kernel.contents, params, (image.tree,), where)
    # separate stages: the command line changes more often than the kernel
    boot_params = {"cmdline": line, "epoch": context.epoch}
    boot = Action("boot", kernel.boot, boot_params, (contents,), where)
    running = Action("modules", kernel.running, {}, (contents,), where)
    tree = Action("kernel", kernel.kernel, boot_params, (contents,), where)
    return [Component("kernel", tree, "", running, boot, origins=_origins(tree, params, image))]


def _origins(tree: Action, params: dict[str, Any], image: Image) -> Action | None:
    """The action that gives the origins of the kernel's `tree`."""
    if image.origins is None:
        return None
    places = {key: params[key] for key in ("binary", "tar", "ucode")}
    return Action("origins/kernel", origins.kernel, places, (tree, image.tree, image.origins))


def images(value: Kernel) -> References:
    return [(("image",), value.image)] if value.image else []


def _where(below: Callable[[KeyPath], str], places: Mapping[KeyPath, KeyPath]) -> Callable[[KeyPath], str]:
    """Like `below`, for paths in the parameters of a stage; `places` maps those that differ in the spec."""
    return lambda path: below(places.get(path, path))


SECTION = Section(10, Kernel, components, images, warnings=warnings)
