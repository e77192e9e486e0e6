"""Plan: a spec and its lock become actions. No image is read, no socket opened, nothing is written.

sections -> parts -> root -> fragments -> initrd -> formats
               \\-> rootfs -----------------^
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import formats, sections
from pipeline.compression import compress
from pipeline.container import cmdline, linuxkit_compat
from pipeline.container.arches import for_arch
from pipeline.engine.action import Action, closure
from pipeline.host import containment, tracked
from pipeline.language.problem import KeyPath, Place, Problem, Problems, suggestion
from pipeline.model.errors import BadInput
from pipeline.model.tree import EPOCH, parents
from pipeline.oci import reference as references
from pipeline.planning.lock import Lock, Wanted
from pipeline.spec.components import Component, Context, Image
from pipeline.spec.spec import Spec
from pipeline.stages import compression, initrd, pull, root, starts

PKG = "@pkg:"
"""A reference that starts so names a recipe's folder."""
COMPRESSIONS = ("zstd", "gzip")
"""For what a spec does not say how to compress. Of an initrd: the first that its kernel can unpack."""
INITS = ("sbin/init", "etc/init", "bin/init", "bin/sh")
"""Programs of which the kernel starts the first that there is (init/main.c)."""
_SECTIONS = {"init": ("init", "kernel"), "services": ("services",), "onboot": ("onboot", "onshutdown")}
"""The sections at which problems of a whole node are told."""
IMAGES = Path("images")
"""The folder of a project's recipes, by convention. It may be a symlink."""
OWN_IMAGES = Path(__file__).parent.parent.parent
"""Where the recipes that come with nodekiln are, for projects that have none of that name themselves."""


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What a spec comes to on one architecture.

    products: what formats ask for by name: `kernel`, `initrd`, `rootfs`. Others, formats and further images come when
    asked.
    """

    spec: Spec
    arch: str
    images: Images
    parts: tuple[Component, ...]
    fragment: Callable[[str, Action], Action]
    """Plans a piece of an initrd: its name, and the action that gives its tree."""
    products: dict[str, Action]
    made: dict[str, Action] = field(default_factory=dict)
    checked: dict[str, Action] = field(default_factory=dict)

    def format(self, name: str) -> Action:
        """The action that makes the format `name` (and, through its inputs, all that it needs)."""
        if name not in self.made:
            wanted = formats.find(name)
            given = {"name": self.spec.name} | self.spec.build.options() | {"compress": _compression(self.spec)}
            options: dict[str, Any] = {option: given[option] for option in wanted.options if option in given}
            needs = tuple(map(self._needed, wanted.needs))
            self.made[name] = Action(f"format/{name}", wanted.build, options, needs, self._where)
        return self.made[name]

    def _where(self, path: KeyPath) -> str:
        """Where a spec says what a format finds wrong: the kernel's command line, or an option of `build`."""
        return str(self.spec.where(_cmdline(self.arch) if path == cmdline.PATH else ("build", *path)))

    def problems(self, *names: str) -> list[Problem]:
        """What the formats `names` lack to be made: a kernel, or the image of a boot loader."""
        found = [problem for name in names if (problem := self._kernelless(name))]
        for name in names:
            place = self._asked_at(name)
            for recipe in sorted(formats.recipes(name)):
                found += _unplanned(self.images, self._boot_image(recipe), place, f"{name} needs it; ")
        return found

    def _kernelless(self, name: str) -> Problem | None:
        if self.spec["kernel"].image or not formats.kernel_needed(name):
            return None
        message = f"{name} needs a kernel to start, and the spec names none"
        return Problem(self._asked_at(name), message, "kernel: {image: …}")

    def _asked_at(self, name: str) -> Place:
        """Where the spec asks for the format `name`; if it does not, where it could."""
        asked = self.spec.build.formats
        return self.spec.where(("build", "formats", asked.index(name)) if name in asked else ("build", "formats"))

    def checks(self, name: str) -> tuple[Action, ...]:
        """The stages that have to pass before the format `name` is published; none where it starts no machine."""
        if not formats.boots(name):
            return ()
        root = "initrd" if "initrd" in formats.products(name) else "rootfs"
        if root not in self.checked:
            self.checked[root] = self._node_check(root)
        return (self.checked[root], *self.container_checks)

    @cached_property
    def container_checks(self) -> tuple[Action, ...]:
        """A check of the program of every container."""
        files = tuple(part.tree for part in self.parts if part.inside)
        return tuple(
            Action(
                f"starts/{part.name}",
                starts.container,
                {"prefix": part.prefix, "at": list(part.program), "arch": self.arch},
                (part.tree, part.image, *files),
                part.tree.where,
            )
            for part in self.parts if part.image
        )  # fmt: skip

    def _node_check(self, name: str) -> Action:
        """The check of what the kernel and the boot code start, where the root is an initrd or a file system."""
        loose = [part for part in self.parts if not part.prefix]
        line = next((part.boot.params["cmdline"] for part in loose if part.boot), "")
        params = {
            "first": _first_programs(name, line),
            "services": bool(self.spec["services"]),
            "onboot": bool(self.spec["onboot"] or self.spec["onshutdown"]),
            "strict": bool(self.spec["kernel"].image),
            "arch": self.arch,
        }
        wheres = [part.tree.where for part in loose]

        def where(path: KeyPath) -> str:
            if path[0] == "part":
                found = wheres[int(path[1])] if wheres else None
                return found(()) if found else str(self.spec.where(()))
            named = [each for each in _SECTIONS[str(path[0])] if self.spec[each]]
            return str(self.spec.where((named[0],) if named else ()))

        return Action(f"starts/{name}", starts.node, params, tuple(map(_programs, loose)), where)

    def missing(self, *names: str) -> list[Wanted]:
        """What the lock does not explain of what the formats `names` need: until it does, they cannot be made.

        Problems where they cannot be made at all.
        """
        if problems := self.problems(*names):
            raise Problems(problems)
        unlocked = self.images.missing
        return [unlocked[action] for action in closure(*map(self.format, names)) if action in unlocked]

    def _needed(self, need: formats.Need) -> Action:
        if isinstance(need, formats.Output):
            return self.format(need.format)
        if isinstance(need, formats.Recipe):
            return self.images(self._boot_image(need.name)).tree
        if need not in self.products:
            self.products[need] = {"bootrd": self._bootrd, "release": self._release}[need]()
        return self.products[need]

    def _boot_image(self, recipe: str) -> str:
        """The reference of the image that a format wants `recipe` for."""
        return self.spec.build.bootloader or f"{PKG}images/{recipe}"

    def _bootrd(self) -> Action:
        """The RAM disk that mounts a root file system; planned when a format asks, for it needs an image of its own."""
        from pipeline.stages import initramfs

        contents = _kernel(self.parts)
        image, tar = (contents.inputs, contents.params["tar"]) if contents else ((), "")
        modules = Action("bootrd/modules", initramfs.modules, {"tar": tar}, image)
        tree = Action("bootrd/tree", initramfs.ramdisk, {}, (modules, self.images(f"{PKG}images/init").tree))
        return Action("bootrd/initrd", initrd.initrd, {}, (self.products["kernel"], self.fragment("bootrd", tree)))

    def _release(self) -> Action:
        """What a node is called. Only loose parts know: no change of a service changes what this is made of."""
        from pipeline.stages import unified

        return Action("release", unified.release, {}, tuple(_running(part) for part in self.parts if not part.prefix))


class NoImage(BadInput):
    """A recipe that is not there, not for this architecture, or outside the project. hint: what would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message + (f" ({hint})" if hint else ""))
        self.message, self.hint = message, hint


class Images:
    """The images that a plan names, each once: `images(reference)`.

    wanted: all names that a lock has to explain. missing: those that it does not, with the actions that wait for it.
    """

    def __init__(self, spec: Spec, lock: Lock, arch: str) -> None:
        self._spec, self._lock, self._arch = spec, lock, arch
        self._known: dict[tuple[str, str], Image] = {}
        self.wanted: list[Wanted] = []
        self.missing: dict[Action, Wanted] = {}

    def __call__(self, reference: str, arch: str = "") -> Image:
        asked = (reference, arch or self._arch)
        if asked not in self._known:
            make = self._from_recipe if reference.startswith(PKG) else self._from_registry
            self._known[asked] = make(*asked)
        return self._known[asked]

    def _from_registry(self, reference: str, arch: str) -> Image:
        full = references.expand(reference)
        wanted = Wanted(full, arch)
        facts = self._lock.get(wanted)
        params = {"reference": full, "manifest": facts["manifest"] if facts else ""}
        title = reference if arch == self._arch else f"{reference} ({arch})"
        manifest = self._locked(Action(f"pull/{title}", pull.pull, params), wanted)
        return Image(full, manifest, Action(f"unpack/{title}", pull.unpack, {}, (manifest,)))

    def _from_recipe(self, reference: str, arch: str) -> Image:
        from pipeline.recipe import actions as recipes
        from pipeline.recipe import recipe

        found = recipe.load(self._folder(reference.removeprefix(PKG)))
        name = found.build.image
        if arch not in found.build.arches:
            arches = ", ".join(found.build.arches)
            raise NoImage(f"{reference} is made for {arches}, not for {arch}")
        wanted = Wanted(name, arch, str(found.folder), found.request(arch))
        manifest = recipes.image(found, arch, self._lock.get(wanted) or [])
        self._locked(manifest, wanted)
        return Image(reference, manifest, Action(f"unpack/{name}", pull.unpack, {}, (manifest,)))

    def _folder(self, path: str) -> Path:
        """The recipe's folder: in the project, beside the spec, or with nodekiln itself."""
        from pipeline.recipe.recipe import FILE

        places = (Path(path), self._spec.folder / path, OWN_IMAGES / path)
        for place in places:
            if tracked.is_file(place / FILE):
                if containment.escapes(place, self._spec.folder, IMAGES, OWN_IMAGES / IMAGES):
                    raise NoImage(f"{PKG}{path} lies outside the project", containment.ALLOWED)
                return place
        message = f"there is no recipe {PKG}{path}: no {FILE} in {' or '.join(map(str, dict.fromkeys(places[:2])))}"
        raise NoImage(message, suggestion(f"{PKG}{path}", [f"{PKG}{each}" for each in self._recipes(path)]))

    def _recipes(self, path: str) -> Iterator[str]:
        """The recipes that there are beside where `path` would be."""
        folder = Path(path).parent
        for place in (folder, self._spec.folder / folder, OWN_IMAGES / folder):
            yield from (str(folder / each.parent.name) for each in sorted(place.glob("*/build.yml")))

    def _locked(self, action: Action, wanted: Wanted) -> Action:
        self.wanted.append(wanted)
        if self._lock.get(wanted) is None:
            self.missing[action] = wanted
        return action


def plan(spec: Spec, lock: Lock, arch: str) -> Plan:
    """The actions of `spec` for `arch` (an OCI architecture: amd64, arm64). Problems if it asks for unknown formats."""
    if problems := [*_wrong_formats(spec), *_wrong_disks(spec), *_wrong_cmdline(spec, arch)]:
        raise Problems(problems)
    images = Images(spec, lock, arch)
    if problems := list(_wrong_images(spec, images)):
        raise Problems(problems)
    epoch = _epoch(spec)
    parts = sections.components(Context(spec, images, epoch, arch))
    fragment = _fragments(spec, parts)
    return Plan(spec, arch, images, tuple(parts), fragment, _products(parts, epoch, fragment))


def _wrong_formats(spec: Spec) -> Iterator[Problem]:
    """What is wrong with `build.formats`: names of no format, and two that give different files of one name."""
    asked = spec.build.formats
    for at, name in enumerate(asked):
        where = spec.where(("build", "formats", at))
        if not formats.known(name):
            yield Problem(
                where, f"unknown format {name!r}", suggestion(name, [*formats.names(), *formats.compressed()])
            )
    for one, other, suffix in formats.clashes(filter(formats.known, asked)):
        where = spec.where(("build", "formats", asked.index(other)))
        yield Problem(where, f"{one} and {other} both give {spec.name}{suffix}", "leave one of them out")


def _cmdline(arch: str) -> KeyPath:
    """Where the command line for `arch` stands."""
    return ("kernel", "cmdline", arch)


def _wrong_cmdline(spec: Spec, arch: str) -> Iterator[Problem]:
    """A problem for each boot loader that would not pass on the command line as it stands."""
    line = for_arch(spec["kernel"].cmdline, arch) if spec["kernel"].image else ""
    for name in filter(formats.known, spec.build.formats):
        for loader in formats.loaders(name) if line else ():
            if refused := loader.refusal(line or "", spec.name):
                yield Problem(spec.where(_cmdline(arch)), f"{name}: {refused[0]}", refused[1])


def _wrong_disks(spec: Spec) -> Iterator[Problem]:
    """What is wrong with `build.partitions` and `build.size`: more than a format that is asked for has room for."""
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


def _wrong_images(spec: Spec, images: Images) -> Iterator[Problem]:
    """The images that the spec names and that cannot be planned."""
    for path, reference in _references(spec):
        yield from _unplanned(images, reference, spec.where(path), "")


def _unplanned(images: Images, reference: str, place: Place, purpose: str) -> Iterator[Problem]:
    try:
        images(reference)
    except NoImage as error:
        copy = "copy it from nodekiln's images/, or name another in build.bootloader" if purpose else ""
        yield Problem(place, error.message, purpose + (error.hint or copy))
    except Problems as error:  # of the recipe itself
        yield from error.problems


def _references(spec: Spec) -> Iterator[tuple[KeyPath, str]]:
    """The images that the sections name, and where."""
    for name, value in spec.sections.items():
        if not isinstance(value, tuple):
            found = [_reference((name,), value)]
        else:
            found = [_reference((name, number), each) for number, each in enumerate(value)]
        yield from ((path, text) for path, text in found if text and isinstance(text, str))


def _reference(path: KeyPath, entry: Any) -> tuple[KeyPath, Any]:
    return (path, entry) if isinstance(entry, str) else ((*path, "image"), getattr(entry, "image", None))


def _first_programs(name: str, line: str) -> list[str]:
    """What the kernel starts first, in an initrd or a root file system, as its command line says (init/main.c)."""
    word = "rdinit=" if name == "initrd" else "init="
    said = [each.removeprefix(word) for each in line.split() if each.startswith(word)]
    return [said[-1].strip("/")] if said else ["init"] if name == "initrd" else [*INITS]


def _epoch(spec: Spec) -> int:
    if spec.build.compat == "linuxkit":
        return linuxkit_compat.MTIME
    return int(tracked.variable("SOURCE_DATE_EPOCH") or EPOCH) if spec.build.epoch is None else spec.build.epoch


def _compression(spec: Spec) -> str:
    """With its level, so that another default is another key."""
    return str(compress.parse(spec.build.compress or COMPRESSIONS[0]))


def _fragments(spec: Spec, parts: list[Component]) -> Callable[[str, Action], Action]:
    """How the pieces of an initrd are planned: compressed as the spec says, else as its kernel can unpack them."""
    kernel = _kernel(parts)
    options: dict[str, str] = {}
    how: tuple[Action, ...] = ()
    if spec.build.compress or kernel is None:
        options = {"compress": _compression(spec)}
    else:
        choices = [str(compress.parse(name)) for name in COMPRESSIONS]
        params = {"binary": kernel.params["binary"], "choices": choices}
        how = (Action("compression", compression.compression, params, kernel.inputs, kernel.where),)
    return lambda name, tree: Action(f"fragment/{name}", initrd.fragment, options, (tree, *how), tree.where)


def _running(part: Component) -> Action:
    return part.running or part.tree


def _programs(part: Component) -> Action:
    """The tree of `part`; of a kernel's, the part that may hold programs: thousands of modules are looked at once."""
    if not part.boot:
        return _running(part)
    return Action(f"starts/{part.name}", starts.without_modules, {}, (_running(part),), part.tree.where)


def _kernel(parts: Iterable[Component]) -> Action | None:
    """The stage that takes the kernel and its modules out of an image."""
    return next((part.boot.inputs[0] for part in parts if part.boot), None)


def _products(parts: list[Component], epoch: int, fragment: Callable[[str, Action], Action]) -> dict[str, Action]:
    stamp = {"directories": sorted({above for part in parts for above in parents(part.prefix)}), "epoch": epoch}
    boot = next((part.boot for part in parts if part.boot), Action("boot", root.nothing))
    fragments = [fragment(name, tree) for name, tree in _pieces(parts, stamp)]
    return {
        "rootfs": Action("rootfs", root.rootfs, stamp, tuple(part.tree for part in parts)),
        "kernel": boot,
        "initrd": Action("initrd", initrd.initrd, {}, (boot, *fragments)),
    }


def _pieces(parts: list[Component], stamp: dict[str, Any]) -> Iterator[tuple[str, Action]]:
    """What becomes one fragment each: (name, tree), in the order in which the kernel unpacks them.

    That is the parts' order, but what changes most comes late, so that an initrd starts as the one before did: images,
    then what a spec says of them, then the loose parts that are laid over all.
    """
    loose = [part for part in parts if not part.prefix]
    placed = [part for part in parts if part.prefix]
    cut = Action("root", root.partition_overlay, stamp, tuple(map(_running, loose)))
    names = [(part.name, part.tree.where) for part in loose] or [("directories", None)]
    winners = [
        (name, Action(f"root/{name}", root.select, {"number": number}, (cut,), where))
        for number, (name, where) in enumerate(names)
    ]
    under = sum(parts.index(part) < parts.index(placed[0]) for part in loose) if placed else len(loose)
    yield from winners[: max(under, 1)]
    for name, stage in (("image", root.bundle_image), ("frame", root.bundle_metadata)):
        for part in placed:
            title, whole = f"{part.name}/{name}", part.tree
            yield title, Action(title, stage, {"prefix": part.prefix}, (whole,), whole.where)
    yield from winners[max(under, 1) :]
