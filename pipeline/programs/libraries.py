"""Shared libraries of a program, as the dynamic linker would find them, or not.

The search order is that of glibc (ld.so(8)) or musl (ldso/dynlink.c). Where distributions differ, all their folders are
searched, so that a missing library is missing with each. Libraries opened with dlopen(3) are unknown.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from pipeline.model.path_resolution import BelowMount
from pipeline.programs.elf import Elf
from pipeline.programs.root import Root

MOST_OBJECTS = 4096
"""Maximum number of objects (program and libraries) that are loaded for one program."""

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
"""e_machine -> multiarch names (GNU triplets) of its library folders."""
_PLATFORMS = {3: "i686", 40: "v7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64"}
"""e_machine -> $PLATFORM."""
_FOLDERS = (
    "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/lib32", "/usr/lib32", "/libx32", "/lib64/lp64d", "/usr/lib64/lp64d"
)  # fmt: skip
_MUSL_FOLDERS = "/lib:/usr/local/lib:/usr/lib"
_GLIBC = re.compile(r"ld-linux.*\.so\.\d+|ld(64)?\.so\.\d+|ld-\d.*\.so")
_MUSL = re.compile(r"ld-musl-(.+)\.so\.1")
_MUSL_ITSELF = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
"""Libraries that are part of musl's linker."""


class Library(NamedTuple):
    """A library that a program needs. path: absolute, "" if it is not found. by: the path of the file that needs it."""

    name: str
    path: str
    by: str


class _Object(NamedTuple):
    """A loaded file: its path, its headers, and the object that needed it first."""

    path: str
    elf: Elf
    parent: _Object | None


def needed_libraries(
    root: Root,
    program: str,
    first: Elf,
    library_path: str = "",
    is_elsewhere: Callable[[str], bool] = lambda _: False,
) -> Iterator[Library]:
    """Yields the libraries that `program` (a path without symlinks) and its libraries need, each once.

    first: the program's headers; those of a shared object without interpreter are taken for glibc's. library_path:
    LD_LIBRARY_PATH. is_elsewhere: true for names of libraries that are left out, with what they need. Nothing for a
    linker other than glibc's and musl's.
    """
    linker = posixpath.basename(first.interpreter)
    musl = _MUSL.fullmatch(linker)
    if not musl and ((linker and not _GLIBC.fullmatch(linker)) or root.has_musl):
        return  # has_musl: a substitute for glibc's linker (gcompat)
    defaults = _musl_folders(root, first.interpreter, musl[1]) if musl else _glibc_folders(root, first)
    todo, known = deque([_Object(f"/{program}", first, None)]), {linker, first.soname}
    while todo and len(known) < MOST_OBJECTS:
        user = todo.popleft()
        for name in user.elf.needed:
            if name in known or (musl and _MUSL_ITSELF.match(name)) or is_elsewhere(name):
                continue
            known.add(name)
            try:
                library = _load(root, name, user, first, library_path, defaults, bool(musl))
            except BelowMount:
                continue
            yield Library(name, library.path if library else "", user.path)
            if library:
                known.add(library.elf.soname)
                todo.append(library)


def _load(
    root: Root, name: str, by: _Object, first: Elf, library_path: str, defaults: tuple[str, ...], musl: bool
) -> _Object | None:
    """Returns the library `name` for `by` from the first folder that has it."""
    if "/" in name:
        paths: Iterator[str] = iter([name])
    else:
        folders = (*_own_folders(by, library_path, musl), *defaults)
        cached = [root.cached[name]] if name in root.cached and not musl else []
        paths = chain(cached, (f"{folder}/{name}" for folder in folders))
    for path in paths:
        elf = root.library(path)
        if elf and (elf.bits, elf.machine) == (first.bits, first.machine):
            return _Object(path, elf, by)
    return None


def _own_folders(by: _Object, library_path: str, musl: bool) -> Iterator[str]:
    """Yields the folders of DT_RPATH, LD_LIBRARY_PATH and DT_RUNPATH, expanded."""
    user: _Object | None = by
    while user is not None and (musl or not by.elf.runpath):
        if musl or not user.elf.runpath:
            yield from _expand(user, user.elf.rpath)
        if musl:
            yield from _expand(user, user.elf.runpath)
        user = user.parent
    yield from _expand(by, library_path)
    yield from _expand(by, by.elf.runpath)


def _expand(file: _Object, text: str) -> Iterator[str]:
    """Yields the absolute folders of a search path, with $ORIGIN, $LIB and $PLATFORM replaced (ld.so(8))."""
    machine = file.elf.machine
    libs = ("lib64", "lib", *(f"lib/{triplet}" for triplet in _MACHINES.get(machine, ())))
    for folder in re.split("[:;\n]", text):
        folder = re.sub(r"\$(ORIGIN\b|\{ORIGIN\})", lambda _: posixpath.dirname(file.path), folder)
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
    return tuple(folder for folder in re.split("[:\n]", text) if folder.startswith("/"))
