"""Problems of a spec with its formats, its architecture and its images, found before anything is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline import formats
from pipeline.container import cmdline
from pipeline.language.problem import KeyPath, Place, Problem, Problems, suggestion
from pipeline.planning.images import PKG, Images, NoImage
from pipeline.sections import sections
from pipeline.spec.spec import Spec


def of_options(spec: Spec, arch: str) -> list[Problem]:
    """Problems of `build:` and the command line with the formats of the spec."""
    return [*_of_formats(spec), *_of_verity(spec), *_of_disks(spec), *_of_cmdline(spec, arch), *_of_signer(spec)]


def of_images(spec: Spec, images: Images) -> list[Problem]:
    """A problem for each image that the spec names and that cannot be planned, or those of the rules about images."""
    try:
        _ = images.policy
    except Problems as error:
        return list(error.problems)
    return [
        problem
        for key, section in sections().items()
        for path, reference in section.images(spec[key])
        for problem in _of_image(images, reference, spec.where((key, *path)), "")
    ]


def of_format(spec: Spec, images: Images, name: str) -> Iterator[Problem]:
    """Yields what the format `name` lacks: a kernel, the image of a boot loader, a root that can be verified, a command
    line of its own."""
    names = spec.build.formats
    if name not in names:
        yield from _unverifiable(spec, name)
        if line := _with_line(spec, (name, *names))[1:]:
            yield _same_line(spec, spec.where(("build", "formats")), name, line[0])
    place = spec.where(("build", "formats", names.index(name)) if name in names else ("build", "formats"))
    if not spec["kernel"].image and formats.kernel_needed(name):
        yield Problem(place, f"{name} needs a kernel to start, and the spec names none", "kernel: {image: …}")
    for recipe in sorted(formats.recipes(name)):
        yield from _of_image(images, boot_image(spec, recipe), place, f"{name} needs it; ")


def boot_image(spec: Spec, recipe: str) -> str:
    """The reference of the image that a format gets for `recipe`."""
    return spec.build.bootloader or f"{PKG}images/{recipe}"


def cmdline_path(arch: str) -> KeyPath:
    """The path of the command line for `arch`."""
    return ("kernel", "cmdline", arch)


def _of_formats(spec: Spec) -> Iterator[Problem]:
    names = spec.build.formats
    for at, name in enumerate(names):
        if not formats.known(name):
            hint = suggestion(name, [*formats.names(), *formats.compressed()])
            yield Problem(spec.where(("build", "formats", at)), f"unknown format {name!r}", hint)
    for one, other, suffix in formats.clashes(filter(formats.known, names)):
        where = spec.where(("build", "formats", names.index(other)))
        yield Problem(where, f"{one} and {other} both give {spec.name}{suffix}", "leave one of them out")


def _of_signer(spec: Spec) -> list[Problem]:
    """Problems of the certificate that `build.sign` names, and of the file of signatures."""
    if spec.build.sign is None:
        return []
    from pipeline.planning import signing

    return signing.problems(spec)


def _of_verity(spec: Spec) -> Iterator[Problem]:
    """Yields a problem for each format whose root `build.verity` cannot verify, and where command lines collide."""
    known = [name for name in spec.build.formats if formats.known(name)]
    for name in known:
        yield from _unverifiable(spec, name)
    first, *others = _with_line(spec, known) or [""]
    for name in others:
        yield _same_line(spec, spec.where(("build", "formats", spec.build.formats.index(name))), name, first)


def _with_line(spec: Spec, names: Iterable[str]) -> list[str]:
    """Returns those of the formats `names` that give a command line with a root hash."""
    verified = filter(formats.verifiable, names) if spec.build.verity else ()
    return [name for name in verified if "-cmdline" in formats.find(name).produces]


def _same_line(spec: Spec, place: Place, name: str, other: str) -> Problem:
    message = f"{name} and {other} both give {spec.name}-cmdline with a root hash"
    return Problem(place, message, "leave one of them out")


def _unverifiable(spec: Spec, name: str) -> Iterator[Problem]:
    """Yields a problem if `build.verity` is set and the format `name` has a root that cannot be verified."""
    if spec.build.verity and formats.products(name) & {"initrd", "rootfs"} and not formats.verifiable(name):
        able = ", ".join(filter(formats.verifiable, formats.names()))
        yield Problem(spec.where(("build", "verity")), f"{name} has no root that can be verified", f"use {able}")


def _of_cmdline(spec: Spec, arch: str) -> Iterator[Problem]:
    """Yields a problem for each boot loader that would not pass on the command line as it stands."""
    line = cmdline.joined(spec["kernel"].cmdline, arch) if spec["kernel"].image else ""
    for name in filter(formats.known, spec.build.formats):
        for loader in formats.loaders(name) if line else ():
            if refused := loader.refusal(line or "", spec.name):
                yield Problem(spec.where(cmdline_path(arch)), f"{name}: {refused[0]}", refused[1])


def _of_disks(spec: Spec) -> Iterator[Problem]:
    """Yields a problem for each format that has no room for `build.partitions` or `build.size`."""
    if not spec.build.partitions and not spec.build.size:
        return
    from pipeline.writers import disk

    partitions = spec.build.partitions or ()
    size = disk.size(spec.build.size) or sum(disk.size(each.size, above=0) or 0 for each in partitions)
    for name in filter(formats.known, spec.build.formats):
        most, largest = formats.room(name)
        if len(partitions) > most:
            where = spec.where(("build", "partitions", most))
            yield Problem(where, f"{len(partitions)} partitions; {name} has room for {most}", "leave the others out")
        if size > largest:
            where = spec.where(("build", "size" if spec.build.size else "partitions"))
            yield Problem(where, f"a disk of {size >> 20}M; {name} has room for {largest >> 20}M", "make it smaller")


def _of_image(images: Images, reference: str, place: Place, purpose: str) -> Iterator[Problem]:
    try:
        images(reference)
    except NoImage as error:
        copy = "copy it from nodekiln's images/, or name another in build.bootloader" if purpose else ""
        yield Problem(place, error.message, purpose + (error.hint or copy))
    except Problems as error:  # of the recipe itself
        yield from error.problems
