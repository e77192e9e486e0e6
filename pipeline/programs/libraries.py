"""Libraries: which shared libraries of a program the dynamic linker would not find.

The order of search is that of glibc (ld.so(8)) or musl (ldso/dynlink.c there). Where distributions differ, all their
folders are searched: a library that is reported as missing is missing everywhere. Libraries that a program opens by
itself (dlopen(3)) cannot be known.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.model.path_resolution import BelowMount
from pipeline.programs.elf import Elf
from pipeline.programs.root import Root

MOST_OBJECTS = 4096
"""Maximum number of files that one program is made of."""

_MACHINES = {
    3: ("i386-linux-gnu", "i686-linux-gnu", "i386-linux-musl"),
    21: ("powerpc64le-linux-gnu",),
    22: ("s390x-linux-gnu",),
    40: ("arm-linux-gnueabihf", "arm-linux-gnueabi"),
    62: ("x86_64-linux-gnu", "x86_64-linux-musl", "x86_64-linux-gnux32"),
    183: ("aarch64-linux-gnu", "aarch64-linux-musl"),
    243: ("riscv64-linux-gnu",),
    258: ("loongarch64-linux-gnu",),
}
"""e_machine -> names of Debian's folders for it."""
_PLATFORMS = {3: "i686", 40: "v7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64"}
"""e_machine -> $PLATFORM."""
_FOLDERS = (
    "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/lib32", "/usr/lib32", "/libx32", "/lib64/lp64d", "/usr/lib64/lp64d"
)  # fmt: skip
_MUSL_FOLDERS = "/lib:/usr/local/lib:/usr/lib"
_GLIBC = re.compile(r"ld-linux.*\.so\.\d+|ld(64)?\.so\.\d+|ld-\d.*\.so")
_MUSL = re.compile(r"ld-musl-(.+)\.so\.1")
_MUSL_ITSELF = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
"""Libraries that musl's linker is itself."""


class Missing(NamedTuple):
    """A library that is nowhere. by: the library that needs it; "" where that is the program itself."""

    name: str
    by: str


class _Object(NamedTuple):
    """A file of the program: its path, its facts, and the object that needed it first."""

    path: str
    elf: Elf
    parent: _Object | None


def missing(root: Root, program: str, first: Elf, library_path: str = "") -> list[Missing]:
    """The libraries that `program` (a path without symlinks) and its libraries need and that are not in `root`.

    first: the program's own facts. library_path: LD_LIBRARY_PATH. A program with another linker than glibc's or musl's
    is not looked into: [].
    """
    linker = posixpath.basename(first.interpreter)
    musl = _MUSL.fullmatch(linker)
    if not musl and (not _GLIBC.fullmatch(linker) or root.has_musl):
        return []  # the latter: a stand-in for glibc's linker, which loads what musl has
    defaults = _musl_folders(root, first.interpreter, musl[1]) if musl else _glibc_folders(root, first)
    todo, known, found = deque([_Object(f"/{program}", first, None)]), {linker, first.soname}, list[Missing]()
    while todo and len(known) < MOST_OBJECTS:
        each = todo.popleft()
        for name in each.elf.needed:
            if name in known or (musl and _MUSL_ITSELF.match(name)):
                continue
            known.add(name)
            try:
                loaded = _loaded(root, name, each, first, library_path, defaults, bool(musl))
            except BelowMount:
                continue
            if loaded is None:
                found.append(Missing(name, "" if each.parent is None else posixpath.basename(each.path)))
            else:
                known.add(loaded.elf.soname)
                todo.append(loaded)
    return found


def _loaded(
    root: Root, name: str, by: _Object, first: Elf, library_path: str, defaults: tuple[str, ...], musl: bool
) -> _Object | None:
    """The library `name` that `by` needs, from the first folder that has it."""
    if "/" in name:
        paths: Iterator[str] = iter([name])
    else:
        folders = (*_own_folders(by, library_path, musl), *defaults)
        own = [root.cached[name]] if name in root.cached and not musl else []
        paths = (each for part in (own, (f"{folder}/{name}" for folder in folders)) for each in part)
    for path in paths:
        elf = root.library(path)
        if elf and (elf.bits, elf.machine) == (first.bits, first.machine):
            return _Object(path, elf, by)
    return None


def _own_folders(by: _Object, library_path: str, musl: bool) -> Iterator[str]:
    """The folders that DT_RPATH, LD_LIBRARY_PATH and DT_RUNPATH name, expanded."""
    each: _Object | None = by
    while each is not None and (musl or not by.elf.runpath):
        if musl or not each.elf.runpath:
            yield from _expanded(each, each.elf.rpath)
        if musl:
            yield from _expanded(each, each.elf.runpath)
        each = each.parent
    yield from _expanded(by, library_path)
    yield from _expanded(by, by.elf.runpath)


def _expanded(of: _Object, text: str) -> Iterator[str]:
    """The absolute folders of a search path, with $ORIGIN, $LIB and $PLATFORM replaced (ld.so(8))."""
    machine = of.elf.machine
    libs = ("lib64", "lib", *(f"lib/{triplet}" for triplet in _MACHINES.get(machine, ())))
    for folder in re.split("[:;\n]", text):
        folder = re.sub(r"\$(ORIGIN\b|\{ORIGIN\})", lambda _: posixpath.dirname(of.path), folder)
        folder = re.sub(r"\$(PLATFORM\b|\{PLATFORM\})", _PLATFORMS.get(machine, ""), folder)
        if folder.startswith("/"):
            yield from dict.fromkeys(re.sub(r"\$(LIB\b|\{LIB\})", lib, folder) for lib in libs)


def _glibc_folders(root: Root, first: Elf) -> tuple[str, ...]:
    triplets = _MACHINES.get(first.machine, ())
    multiarch = (f"{folder}/{triplet}" for triplet in triplets for folder in ("/lib", "/usr/lib"))
    own = posixpath.dirname(first.interpreter)
    return (*root.configured, *multiarch, *_FOLDERS, *([own] if own else []))


def _musl_folders(root: Root, interpreter: str, arch: str) -> tuple[str, ...]:
    prefix = posixpath.dirname(posixpath.dirname(interpreter)).rstrip("/")
    text = root.text(f"{prefix}/etc/ld-musl-{arch}.path") or _MUSL_FOLDERS
    return tuple(each for each in re.split("[:\n]", text) if each.startswith("/"))
