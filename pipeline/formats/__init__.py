"""Output formats, one module each: `ls` of this folder is the list of them, and nothing else lists them.

A module has the name of its format, with `_` for `-` and `__` for `+` (kernel__initrd.py is kernel+initrd), and
registers it with `FORMAT = Format(...)`. It is imported when its format is asked for. It also has a VERSION, as every
module with a stage, and its docstring starts with `NAME: summary.`
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from pipeline.model.digest import Digest

if TYPE_CHECKING:
    from pipeline.container.cmdline import Loader
    from pipeline.writers.carried import Carried

ENDINGS = ("zst", "gz")
"""Suffixes of compressed disks, and names of the stages that make them (pipeline.stages.compressed_disk)."""
DIRECT_BOOT = ("-kernel", "-initrd.img", "-cmdline")
"""Files for a direct boot. Every format that has one of them has the same bytes in it."""
Product = Literal["kernel", "initrd", "rootfs", "bootrd", "verity_bootrd", "release", "inventory"]
"""Actions that a plan makes for formats (pipeline.planning.plan)."""
Option = Literal["clusters", "compress", "label", "name", "partitions", "sign", "size", "verity"]
"""Keys of `build:` that formats can take, and `name`, that of the spec. `sign` is a signer, as stages.signed has it."""


class Recipe(NamedTuple):
    """A need: the tree of the recipe images/`name`, or of the image that `build.bootloader` names instead."""

    name: str


class Output(NamedTuple):
    """A need: the files of another format."""

    format: str


Need = Product | Recipe | Output


class Firmware(Enum):
    """Starters of a result, as the manual's table calls them."""

    DIRECT = "a kernel that is handed over"
    BIOS = "BIOS"
    UEFI = "UEFI (amd64, arm64)"
    EITHER = "BIOS or UEFI"
    BOARD = "a board's own firmware"
    NONE = "nothing: for containers, and other tools"


class Drive(NamedTuple):
    """The drive as which a machine gets the one file of a format.

    image: QEMU's name of its structure. compressible: NAME.zst and NAME.gz are formats too, the same file compressed.
    """

    image: Literal["raw", "qcow2", "vhdx", "vmdk", "vpc"] = "raw"
    device: Literal["disk", "cd"] = "disk"
    compressible: bool = True


@dataclass(frozen=True, eq=False, repr=False)
class Format:
    """One kind of output. ValueError, when its module is imported, for a need or option that there is not."""

    name: str
    build: Callable[..., Digest]
    """The stage `build(store, *needs, **options)`. It gives a flat Tree {suffix: File}."""
    needs: tuple[Need, ...]
    options: tuple[Option, ...]
    produces: tuple[str, ...]
    """Suffixes of all files that it gives; a file is called as the spec, followed by the suffix. Without a kernel some
    may be missing."""
    firmware: Firmware
    drive: Drive | None = None
    loaders: tuple[Loader, ...] = ()
    """Boot loaders that pass on the command line, besides those of the formats that it needs."""
    carried: Carried | None = None
    """Attributes of files that its root file system keeps, if it has another root than the initrd."""
    program: Callable[..., Digest] | None = None
    """The stage `program(store, *needs, **options)` of its EFI program, if `sign` is an option: Tree {".efi"},
    unsigned."""
    program_options: tuple[Option, ...] = ()
    """The part of `options` that `program` takes."""
    largest_file: int = sys.maxsize
    """Maximum size of a file of the root, in bytes."""
    largest_disk: int = sys.maxsize
    """Maximum size of its disk, in bytes."""
    most_partitions: int = sys.maxsize
    """Maximum number of entries in `build.partitions`."""

    def __post_init__(self) -> None:
        others = [Output(name) for name in names()]
        for need in self.needs:
            if not isinstance(need, Recipe) and need not in (*get_args(Product), *others):
                known = names() if isinstance(need, Output) else get_args(Product)
                raise ValueError(f"the format {self.name} needs {need!r}: use {', '.join(known)}, or Recipe(NAME)")
        if unknown := {*self.options} - {*get_args(Option)}:
            raise ValueError(f"the format {self.name} takes {min(unknown)!r}: use {', '.join(get_args(Option))}")
        if ("sign" in self.options) is not bool(self.program):
            raise ValueError(f"the format {self.name} has sign without program, or program without sign")
        if not {*self.program_options} <= {*self.options}:
            raise ValueError(f"the program of the format {self.name} takes options that the format does not")
        if self.drive and len(self.produces) != 1:
            raise ValueError(f"the format {self.name} has a drive and {len(self.produces)} files: it needs exactly one")

    @property
    def own(self) -> tuple[str, ...]:
        """Suffixes of the files that are its targets: those for a direct boot are kernel+initrd's."""
        return tuple(suffix for suffix in self.produces if suffix not in DIRECT_BOOT) or self.produces

    @property
    def boots_directly(self) -> bool:
        return {*DIRECT_BOOT} <= {*self.produces}

    @property
    def summary(self) -> str:
        """The first paragraph of the module's docstring, without the name."""
        first = (sys.modules[self.build.__module__].__doc__ or "").partition("\n\n")[0]
        return " ".join(first.partition(": ")[2].split()).rstrip(".")


@functools.cache
def find(name: str) -> Format:
    """The format `name`. Imports its module. KeyError if there is none."""
    base, _, ending = name.rpartition(".")
    if name in names():
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_').replace('+', '__')}")
        found: Format = module.FORMAT
        if found.name != name:
            raise ValueError(f"{module.__file__} has the format {found.name}: the file's name is for {name}")
        return found
    if ending in ENDINGS and base in names() and (disk := find(base)).drive and disk.drive.compressible:
        from pipeline.stages import compressed_disk

        build, produces = getattr(compressed_disk, ending), (f"{disk.produces[0]}.{ending}",)
        return Format(name, build, (Output(base),), ("compress",), produces, disk.firmware)
    raise KeyError(name)


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all formats but compressed disks, sorted. Imports none."""
    stems = (file[:-3] for file in os.listdir(__path__[0]) if file.endswith(".py") and file[0] != "_")
    return tuple(sorted(stem.replace("__", "+").replace("_", "-") for stem in stems))


@functools.cache
def compressed() -> tuple[str, ...]:
    """The names of all compressed disks. Imports every format."""
    return tuple(name for base in names() for ending in ENDINGS if known(name := f"{base}.{ending}"))


def known(name: str) -> bool:
    """Returns whether there is a format `name`, compressed disks included. Imports it."""
    try:
        return bool(find(name))
    except KeyError:
        return False


@functools.cache
def lineage(name: str) -> tuple[Format, ...]:
    """The format `name` and all formats that it is made of."""
    own = find(name)
    return (own, *(each for need in own.needs if isinstance(need, Output) for each in lineage(need.format)))


def products(name: str) -> set[str]:
    """The products that the format `name` is made of."""
    return {need for each in lineage(name) for need in each.needs if isinstance(need, str)}


def recipes(name: str) -> set[str]:
    """The recipes whose boot loaders or firmware the format `name` is made of."""
    return {need.name for each in lineage(name) for need in each.needs if isinstance(need, Recipe)}


def loaders(name: str) -> tuple[Loader, ...]:
    """The boot loaders that start the kernel from the format `name`: none if the kernel is handed over."""
    return tuple(dict.fromkeys(loader for each in lineage(name) for loader in each.loaders))


def carried(name: str) -> tuple[Carried, ...]:
    """The attributes of files that each root in the format `name` keeps."""
    from pipeline.writers import cpio

    forms = dict.fromkeys(each.carried for each in lineage(name) if each.carried)
    return (*forms, *((cpio.CARRIED,) if "initrd" in products(name) else ()))


def room(name: str) -> tuple[int, int]:
    """The most partitions, and the largest size in bytes, of a disk of the format `name`."""
    made_of = lineage(name)
    return min(each.most_partitions for each in made_of), min(each.largest_disk for each in made_of)


def carrying(size: int) -> tuple[str, ...]:
    """The formats whose root file system, not an initrd, has room for a file of `size` bytes. Imports every format."""
    rooted = (name for name in names() if "rootfs" in products(name) and "initrd" not in products(name))
    return tuple(name for name in rooted if size <= find(name).largest_file)


def verifiable(name: str) -> bool:
    """Returns whether the root in the format `name` can be verified while it is read (dm-verity)."""
    return any("verity" in each.options for each in lineage(name))


def clashes(wanted: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yields pairs of formats out of `wanted` with a suffix under which both give a file, each another one."""
    for one, other in itertools.combinations(dict.fromkeys(wanted), 2):
        for suffix in {*find(one).own}.intersection(find(other).own):
            yield one, other, suffix


def boots(name: str) -> bool:
    """Returns whether the format `name` starts a machine with the node of the spec."""
    return "kernel" in products(name) and not products(name).isdisjoint({"initrd", "rootfs"})


def kernel_needed(name: str) -> bool:
    """Returns whether the format `name` cannot be made of a node without a kernel: a boot loader has to start one."""
    return bool(loaders(name))
