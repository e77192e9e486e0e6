"""Output formats, one file each: `ls pipeline/formats` is the list of them, and nothing else lists them.

A format's file is called as the format, with `_` for what no module name can have: `kernel+initrd` is in
kernel_initrd.py. It says NAME, VERSION, NEEDS (names of products, or of other formats), OPTIONS (the keys of `build:`
that it takes), SUFFIXES (of the files that it gives) and

    def build(store: Store, *needs: Digest, **options) -> Digest

which gives a flat Tree {suffix: File}; an output file is called as the spec, followed by the suffix. It may say

    DISK = True         it gives one file, a disk: `NAME.zst` and `NAME.gz` are formats too, the same disk compressed
    CLASHES = (…)       formats that give another file of the same name
    LARGEST_FILE = …    bytes of the largest file that it has room for
    KERNEL = True       it cannot be without a kernel (which goes without saying where it needs a boot loader's image)
    CARRIED = …         what the form in which it holds the root keeps of it (writers.carried), unless that is an initrd
    LOADERS = (…)       what starts the kernel from it, besides what the formats that it needs say (language.cmdline)
    MOST_PARTITIONS = … and LARGEST_DISK = …, in bytes: what its disk has room for
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.model.digest import Digest

if TYPE_CHECKING:
    from pipeline.container.cmdline import Loader
    from pipeline.writers.carried import Carried

ENDINGS = ("zst", "gz")
"""Of compressed disks, and the stages (pipeline.stages.packed) that make them."""
PRODUCTS = {"kernel", "initrd", "rootfs", "bootrd", "release"}
"""What formats may need besides other formats and images (pipeline.planning.plan makes them)."""


class Packed(NamedTuple):
    """A disk, compressed: what a format's module says, for `raw-efi.zst`."""

    NAME: str
    VERSION: int | str
    NEEDS: tuple[str, ...]
    SUFFIXES: tuple[str, ...]
    build: Callable[..., Digest]
    OPTIONS: tuple[str, ...] = ("compress",)


def find(name: str) -> Any:
    """The module of the format `name`, the only one that is imported, or a Packed; KeyError if there is none."""
    base, _, ending = name.rpartition(".")
    if ending in ENDINGS and base in _disks():
        from pipeline.stages import packed

        suffixes = tuple(f"{suffix}.{ending}" for suffix in find(base).SUFFIXES)
        return Packed(name, packed.VERSION, (base,), suffixes, getattr(packed, ending))
    stem = re.sub(r"[^a-z0-9]+", "_", name)
    if stem in _stems():
        module = importlib.import_module(f"{__name__}.{stem}")
        if name == module.NAME:
            return module
    raise KeyError(name)


@functools.cache
def names() -> tuple[str, ...]:
    """Every format's name, in order, without importing any; compressed disks are not among them."""
    return tuple(sorted(_texts()))


@functools.cache
def packed() -> tuple[str, ...]:
    """The names of compressed disks, which `find` knows too."""
    return tuple(f"{name}.{ending}" for name in _disks() for ending in ENDINGS)


def known(name: str) -> bool:
    """Whether there is such a format."""
    return name in names() or name in packed()


def carrying(size: int) -> tuple[str, ...]:
    """The formats that hold the root file system in a form that has room for a file of `size` bytes: not in an initrd.

    Imports them all.
    """
    rooted = (name for name in names() if "rootfs" in needs(name) and "initrd" not in needs(name))
    return tuple(name for name in rooted if size <= getattr(find(name), "LARGEST_FILE", size))


def room(name: str) -> tuple[int, int]:
    """The most partitions, and the largest size in bytes, of a disk of the format `name` and those it is made of."""
    modules = [find(each) for each in (name, *needs(name)) if known(each)]
    most, largest = (
        min(getattr(module, limit, sys.maxsize) for module in modules) for limit in ("MOST_PARTITIONS", "LARGEST_DISK")
    )
    return most, largest


def clashes(name: str) -> tuple[str, ...]:
    """Returns the formats that give another file of the same name as the format `name` does."""
    found: tuple[str, ...] = getattr(find(name), "CLASHES", ())
    return found


def boots(name: str) -> bool:
    """Whether the format `name` is there to start a machine with what the spec describes."""
    return "kernel" in needs(name) and bool({"initrd", "rootfs"} & needs(name))


def boot_images(name: str) -> set[str]:
    """The images, by the names of their recipes, whose boot loaders or firmware the format `name` needs."""
    return needs(name) - set(names()) - PRODUCTS


def kernel_needed(name: str) -> bool:
    """Whether the format `name` cannot be made of a node without a kernel."""
    return bool(boot_images(name)) or getattr(find(name), "KERNEL", False)


def needs(name: str) -> set[str]:
    """All that the format `name` needs, what that needs included."""
    direct = find(name).NEEDS
    made = [need for need in direct if need in names() and need != name]  # a product may have the name of its format
    return {*direct, *(each for need in made for each in needs(need))}


def loaders(name: str) -> tuple[Loader, ...]:
    """What starts the kernel from the format `name`: none for one whose kernel is handed over."""
    modules = [find(each) for each in (name, *sorted(needs(name))) if known(each)]
    return tuple(dict.fromkeys(loader for module in modules for loader in getattr(module, "LOADERS", ())))


def carried(name: str) -> tuple[Carried, ...]:
    """What the forms in which the format `name` holds the root keep of it."""
    from pipeline.writers import cpio

    modules = [find(each) for each in (name, *sorted(needs(name))) if known(each)]
    forms = [module.CARRIED for module in modules if hasattr(module, "CARRIED")]
    return (*dict.fromkeys(forms), *((cpio.CARRIED,) if "initrd" in needs(name) else ()))


@functools.cache
def _disks() -> tuple[str, ...]:
    return tuple(sorted(name for name, text in _texts().items() if re.search("^DISK = True$", text, re.MULTILINE)))


@functools.cache
def _texts() -> dict[str, str]:
    """Each format's name and source."""
    texts = [Path(__path__[0], f"{stem}.py").read_text("utf-8") for stem in _stems()]
    return {name: text for text in texts for name in re.findall(r'^NAME = "(.+)"$', text, re.MULTILINE)}


def _stems() -> set[str]:
    """The modules in this folder."""
    return {file[:-3] for file in os.listdir(__path__[0]) if file.endswith(".py") and file[0] != "_"}
