"""Root: the files that a program finds when it starts, and what is in them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property

from pipeline.model.path_resolution import resolve
from pipeline.model.tree import Content, Entry, File
from pipeline.programs import elf
from pipeline.programs.elf import BadElf, Elf

Read = Callable[[Content, int, int], bytes]
"""(content, offset, count) -> the bytes there; fewer only where the content ends."""
LARGEST_TEXT = 1 << 20
"""Maximum size of a configuration file of the dynamic linker that is read, in bytes."""
LARGEST_CACHE = 32 << 20
"""Maximum size of an ld.so.cache that is read, in bytes: a desktop's has 200 kB."""


class Root:
    """The root file system `tree` of programs, whose files' bytes `read` returns.

    arch: the machine's, as images name it. name: the root in messages. mounted: paths (as trees have them) that other
    file systems are mounted on while the program runs; lookups that lead there raise BelowMount.
    """

    def __init__(
        self, tree: Mapping[str, Entry], read: Read, arch: str, name: str, mounted: Collection[str] = ()
    ) -> None:
        self.tree, self.arch, self.name, self._read = tree, arch, name, read
        self._mounted = frozenset(mounted) | {place for each in mounted if (place := resolve(tree, each))}
        self._known: dict[str, Elf | None] = {}

    def resolve(self, path: str) -> str | None:
        """The path without symlinks of what is at `path`; None if there is nothing. BelowMount."""
        return resolve(self.tree, path, self._mounted)

    def file(self, path: str) -> File | None:
        """The file at `path`; None if there is nothing or something else. BelowMount."""
        place = self.resolve(path)
        entry = None if place is None else self.tree.get(place)
        return entry if type(entry) is File else None

    def head(self, file: File, count: int) -> bytes:
        """The first `count` bytes of `file`, or all that it has."""
        return self._read(file.content, 0, count)

    def elf(self, file: File) -> Elf:
        """The ELF file `file`. BadElf."""
        return elf.read(lambda offset, count: self._read(file.content, offset, count))

    def library(self, path: str) -> Elf | None:
        """The ELF file at `path`; None if there is none. BelowMount."""
        place = self.resolve(path) or ""
        if place not in self._known:
            entry = self.tree.get(place)
            try:
                self._known[place] = self.elf(entry) if type(entry) is File else None
            except BadElf:
                self._known[place] = None
        return self._known[place]

    def text(self, path: str) -> str:
        """The text of a small file; "" if there is none."""
        file = self.file(path)
        return self.head(file, LARGEST_TEXT).decode("utf-8", "surrogateescape") if file else ""

    def elsewhere(self, name: str) -> str:
        """The folder of a file called `name`, wherever it is; "" if there is none."""
        for path, entry in self.tree.items():
            if path.rpartition("/")[2] == name and type(entry) is File:
                return f"/{posixpath.dirname(path)}"
        return ""

    @cached_property
    def has_musl(self) -> bool:
        """Whether there is musl's dynamic linker."""
        return any(path.startswith("lib/ld-musl-") for path in self.tree)

    @cached_property
    def cached(self) -> Mapping[str, str]:
        """Library -> path, as ld.so.cache has it (glibc, dl-cache.h): its strings, without what is said of them."""
        file = self.file("/etc/ld.so.cache")
        if file is None or file.size > LARGEST_CACHE:
            return {}
        strings = self.head(file, LARGEST_CACHE).decode("utf-8", "surrogateescape").split("\0")
        return {posixpath.basename(each): each for each in strings if each.startswith("/")}

    @cached_property
    def configured(self) -> tuple[str, ...]:
        """The folders of /etc/ld.so.conf and of the files that it includes (ldconfig(8))."""
        return tuple(self._folders("/etc/ld.so.conf", set()))

    def _folders(self, path: str, seen: set[str]) -> Iterator[str]:
        from fnmatch import fnmatchcase

        if path in seen:
            return
        seen.add(path)
        for line in self.text(path).splitlines():
            word, *rest = line.partition("#")[0].split() or [""]
            if word == "include":
                patterns = [posixpath.join(posixpath.dirname(path), each).strip("/") for each in rest]
                for each in sorted(self.tree):
                    if any(fnmatchcase(each, pattern) for pattern in patterns):
                        yield from self._folders(f"/{each}", seen)
            elif word.startswith("/"):
                yield word.partition("=")[0]
