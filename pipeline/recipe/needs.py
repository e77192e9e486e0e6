"""Needs of an image's files: shared libraries, dynamic linkers, interpreters of scripts, targets of links.

They are found in the packages as execve(2) and the dynamic linker would find them. Libraries that programs open
themselves (dlopen(3): NSS, modules of Lua) are unknown here; a recipe keeps them by name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.model.path_resolution import MAX_SYMLINKS
from pipeline.model.tree import EPOCH, File, Symlink, Tree, complete, overlay
from pipeline.ondisk.elf import MAGIC
from pipeline.programs import execve, libraries
from pipeline.programs.elf import STARTED, BadElf, Elf
from pipeline.programs.root import Read, Root
from pipeline.recipe.globs import matching
from pipeline.recipe.layout import ALIASES, merged, relative

LINKER_FILES = "etc/ld.so."
"""Prefix of the dynamic linker's configuration, which counts only if the image has it."""
_SHIPPED = (File, Symlink)


class Missing(NamedTuple):
    """A file `name` that neither the image nor the packages have.

    user: the path of the program or script that needs it. by: the path of the file that names it, one of its libraries
    or itself. is_script: `user` is a script, and `name` its interpreter.
    """

    user: str
    name: str
    by: str
    is_script: bool = False


class Needs(NamedTuple):
    """The needs of an image's files.

    places: paths of packages' files that the image needs and does not have. links: symlinks under the names that
    programs use for such files, as lib64/ld-linux-x86-64.so.2.
    """

    places: frozenset[str]
    links: Tree
    missing: tuple[Missing, ...]


def needs(image: Tree, pool: Tree, read: Read, arch: str, provided: Sequence[str]) -> Needs:
    """Returns the needs of the files in `image`, for what they find in `pool`, the packages' files.

    arch: programs of other architectures need nothing. provided: patterns of needs that another image meets.
    """
    usable = {path: pool[path] for path in pool if path not in ALIASES and not path.startswith(LINKER_FILES)}
    root = Root(overlay(complete(usable), image), read, arch, "the image and its packages")
    return _Search(root, image, provided).needs()


class _Search:
    def __init__(self, root: Root, image: Tree, provided: Sequence[str]) -> None:
        self._root, self._image, self._provided = root, image, provided
        self._places: set[str] = set()
        self._links = Tree()
        self._missing: list[Missing] = []
        self._todo = [*image]
        self._loaded: set[str] = set()

    def needs(self) -> Needs:
        """Follows the files of the image, then those that they bring."""
        objects: dict[str, Elf] = {}
        while self._todo:
            path = self._todo.pop()
            entry = self._root.tree[path]
            if type(entry) is Symlink:
                self._bring(posixpath.join("/", posixpath.dirname(path), entry.target))
            elif type(entry) is File and (entry.mode & 0o111 or ".so" in posixpath.basename(path)):
                objects |= self._started(path, entry)
        for path in sorted(objects):  # last: the search paths of a program hold for its libraries
            if path not in self._loaded:
                self._load(path, objects[path])
        return Needs(frozenset(self._places), self._links.ordered(), tuple(sorted(set(self._missing))))

    def _started(self, path: str, file: File) -> dict[str, Elf]:
        """Brings what execve(2) needs for `file`. Returns it if it is a shared object, which a program may load."""
        head = self._root.head(file, execve.SCRIPT_HEAD)
        if head.startswith(b"#!"):
            for name in _interpreters(*execve.script_interpreter(head)):
                self._need(Missing(path, name, path, is_script=True))
        if (program := self._program(file) if head.startswith(MAGIC) else None) is None:
            return {}
        if not program.interpreter:
            return {path: program}
        self._need(Missing(path, program.interpreter, path))
        self._load(path, program)
        return {}

    def _program(self, file: File) -> Elf | None:
        """Returns the headers of a program or shared object for the image's architecture."""
        try:
            program = self._root.elf(file)
        except BadElf:
            return None
        machines = execve.MACHINES.get(self._root.arch, (program.machine,))
        return program if program.kind in STARTED and program.machine in machines else None

    def _load(self, path: str, program: Elf) -> None:
        """Brings the shared libraries of `program`."""
        for library in libraries.needed_libraries(self._root, path, program, is_elsewhere=self._is_provided):
            if library.path:
                self._loaded.add(self._root.resolve(library.path) or "")
                self._bring(library.path)
            else:
                self._missing.append(Missing(path, library.name, library.by.lstrip("/")))

    def _need(self, missing: Missing) -> None:
        """Brings the file at an absolute path, or records that it is missing."""
        if not self._is_provided(missing.name.lstrip("/")) and not self._bring(missing.name):
            self._missing.append(missing)

    def _bring(self, name: str) -> bool:
        """Adds the file at the absolute path `name`, and the links on the way to it. Returns whether there is one."""
        name = posixpath.normpath(name).lstrip("/")
        if self._root.resolve(name) is None:
            if (place := self._root.resolve(merged(name))) is None:
                return False
            self._links[name] = Symlink(0o777, 0, 0, EPOCH, (), relative(place, name))
            name = place
        for step in self._steps(name):
            if step not in self._image and step not in self._places and type(self._root.tree.get(step)) in _SHIPPED:
                self._places.add(step)
                self._todo.append(step)
        return True

    def _steps(self, name: str) -> Iterator[str]:
        """Yields the places that `name` leads through: symlinks, then what they lead to."""
        for _ in range(MAX_SYMLINKS):
            folder, _, last = name.rpartition("/")
            place = posixpath.join(self._root.resolve(folder) or "", last)
            yield place
            entry = self._root.tree.get(place)
            if type(entry) is not Symlink:
                return
            name = posixpath.join("/", posixpath.dirname(place), entry.target)

    def _is_provided(self, name: str) -> bool:
        return bool(matching([name], self._provided))


def _interpreters(name: str, argument: str) -> Iterator[str]:
    """Yields the programs that start a script: the interpreter, and the one that env(1) starts."""
    if name.startswith("/"):
        yield name
        if posixpath.basename(name) == "env" and argument and " " not in argument and argument[0] not in "-/":
            yield f"/usr/bin/{argument}"
