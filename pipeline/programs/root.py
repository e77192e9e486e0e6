"""The root file system of a program: its files, and the configuration of the dynamic linker."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property

from pipeline.model.path_resolution import resolve
from pipeline.model.tree import Content, Entry, File
from pipeline.programs import elf
from pipeline.programs.elf import BadElf, Elf

Read = Callable[[Content, int, int], bytes]
"""(content, offset, count) -> bytes; fewer only at the end of the content."""
LARGEST_TEXT = 1 << 20
"""Maximum size of a configuration file of the dynamic linker, in bytes."""
LARGEST_CACHE = 32 << 20
"""Maximum size of an ld.so.cache, in bytes; a desktop's has 200 kB."""


class Root:
    """The root file system `tree` of programs.

    read: reads contents. arch: architecture of the machine, as in images. name: of the root, for messages. mounted:
    mount points, as paths of the tree; lookups below them raise BelowMount.
    """

    def __init__(
        self, tree: Mapping[str, Entry], read: Read, arch: str, name: str, mounted: Collection[str] = ()
    ) -> None:
        self.tree, self.arch, self.name, self._read = tree, arch, name, read
        self._mounted = frozenset(mounted) | {place for folder in mounted if (place := resolve(tree, folder))}
        self._known: dict[str, Elf | None] = {}

    def resolve(self, path: str) -> str | None:
        """Resolves `path` (see pipeline.model.path_resolution). BelowMount."""
        return resolve(self.tree, path, self._mounted)

    def file(self, path: str) -> File | None:
        """Returns the file at `path`; None for anything else. BelowMount."""
        place = self.resolve(path)
        entry = None if place is None else self.tree.get(place)
        return entry if type(entry) is File else None

    def head(self, file: File, count: int) -> bytes:
        """Returns the first `count` bytes of `file`, or all."""
        return self._read(file.content, 0, count)

    def elf(self, file: File) -> Elf:
        """Reads the ELF headers of `file`. BadElf."""
        return elf.read(lambda offset, count: self._read(file.content, offset, count))

    def library(self, path: str) -> Elf | None:
        """Reads the ELF headers of the file at `path`; None for anything else. BelowMount."""
        place = self.resolve(path) or ""
        if place not in self._known:
            entry = self.tree.get(place)
            try:
                self._known[place] = self.elf(entry) if type(entry) is File else None
            except BadElf:
                self._known[place] = None
        return self._known[place]

    def text(self, path: str) -> str:
        """Returns the text of a small file; "" for a missing one."""
        file = self.file(path)
        return self.head(file, LARGEST_TEXT).decode("utf-8", "surrogateescape") if file else ""

    def elsewhere(self, name: str) -> str:
        """Returns the folder of a file called `name` anywhere in the tree; "" if there is none."""
        for path, entry in self.tree.items():
            if path.rpartition("/")[2] == name and type(entry) is File:
                return f"/{posixpath.dirname(path)}"
        return ""

    @cached_property
    def has_musl(self) -> bool:
        """True if the root has musl's dynamic linker."""
        return any(path.startswith("lib/ld-musl-") for path in self.tree)

    @cached_property
    def cached(self) -> Mapping[str, str]:
        """Library -> path, from the strings of ld.so.cache (glibc, dl-cache.h)."""
        file = self.file("/etc/ld.so.cache")
        if file is None or file.size > LARGEST_CACHE:
            return {}
        strings = self.head(file, LARGEST_CACHE).decode("utf-8", "surrogateescape").split("\0")
        return {posixpath.basename(path): path for path in strings if path.startswith("/")}

    @cached_property
    def configured(self) -> tuple[str, ...]:
        """Folders in /etc/ld.so.conf and the files that it includes (ldconfig(8))."""
        return tuple(self._folders("/etc/ld.so.conf", set()))

    def _folders(self, path: str, seen: set[str]) -> Iterator[str]:
        from fnmatch import fnmatchcase

        if path in seen:
            return
        seen.add(path)
        for line in self.text(path).splitlines():
            word, *rest = line.partition("#")[0].split() or [""]
            if word == "include":
                patterns = [posixpath.join(posixpath.dirname(path), pattern).strip("/") for pattern in rest]
                for file in sorted(self.tree):
                    if any(fnmatchcase(file, pattern) for pattern in patterns):
                        yield from self._folders(f"/{file}", seen)
            elif word.startswith("/"):
                yield word.partition("=")[0]
