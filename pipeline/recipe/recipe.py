"""A recipe: a folder with a `build.yml` that describes an image, and files of its own.

The keys `image`, `org`, `arches` and `config` are those of LinuxKit's build.yml; instead of a Dockerfile, a recipe
selects files of Debian packages. A spec names the image `@pkg:FOLDER`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pipeline.container.container import Argument, Config, Variable
from pipeline.container.names import AbsoluteOrNone
from pipeline.host import containment, tracked
from pipeline.language import document
from pipeline.language.kinds import Pattern
from pipeline.language.problem import KeyPath, Place, Problem, Problems, dotted
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import kind, mapping, plain, violations
from pipeline.model.digest import canonical_json

FILE = "build.yml"
SOURCE_LIMIT = 1 << 20
"""Maximum size of a recipe's own file, in bytes. It is part of an action's parameters, read whenever tasks are listed:
larger files belong into a package."""

NAME = Pattern(r"[a-z0-9]+([._-][a-z0-9]+)*", "a name (lower-case letters and digits, . _ - between)")
"""Names of images."""
Name = Annotated[str, NAME]
PackageName = Annotated[
    str, Pattern(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?", "a Debian package (NAME, NAME=VERSION)")
]
Arch = Annotated[str, Pattern(r"[a-z0-9]+", "an architecture (amd64, arm64, …)")]
ImagePath = Annotated[str, Pattern(r"(?!(.*/)?\.{0,2}(/|$)).+", "a path in the image (without / before and .. in it)")]
Glob = Annotated[str, Pattern(r"[^/].*", "a pattern of paths in the image, without a leading slash")]
Mode = Annotated[str, Pattern(r"[0-7]{3,4}", 'a mode: three or four octal digits in quotes, as "0755"')]


@mapping
class OwnFile:
    """A file, symlink or directory of the recipe's own. It replaces a package's entry of the same path."""

    path: ImagePath
    """Path in the image, without a leading slash."""
    source: str | None = None
    """A file beside build.yml (or elsewhere in the project: the path is relative to the recipe's folder). With
    NODEKILN_OUTSIDE=1 in the environment, any file of the host."""
    contents: str | None = None
    """Text of the file."""
    symlink: str | None = None
    """Target of a symlink."""
    directory: bool = False
    """A directory. Those above a file are made anyway."""
    mode: Mode | None = None
    """Default: "0644", a directory's "0755"."""
    uid: int = 0
    """Owner, by number."""
    gid: int = 0
    """Group, by number."""

    def problems(self) -> Iterator[tuple[KeyPath, str, str]]:
        kinds = [self.source, self.contents, self.symlink, self.directory or None]
        if sum(kind is not None for kind in kinds) != 1:
            yield (), f"{self.path!r} needs exactly one of source, contents, symlink and directory", ""
        for name in ("uid", "gid"):
            if not 0 <= getattr(self, name) < 2**32 - 1:
                yield (name,), f"{getattr(self, name)} is not between 0 and {2**32 - 2}", ""


@mapping
class Build:
    """The keys of a build.yml.

    In patterns of files, `*` stands for anything in a name, `**` for any number of directories, and `{a,b}` for a or b.
    Packages' files are below `usr`, whichever suite they come from: `bin/busybox` and `usr/bin/busybox` are one path.
    """

    image: Name = ""
    """Name of the image; that of the folder by default."""
    org: Name = "nodekiln"
    """First part of the image's name in the cache and in a registry: `nodekiln/sshd`."""
    arches: tuple[Arch, ...] = ("amd64", "arm64")
    """Architectures that the image can be made for; `[amd64, arm64]` by default."""
    config: Config | None = None
    """Keys of a service in a spec, as defaults for running the image. They become the label org.mobyproject.config."""
    packages: tuple[PackageName | Mapping[str, PackageName], ...] = ()
    """Debian packages; where architectures differ, one for each: `{amd64: …, arm64: …}`."""
    dependencies: Literal["libs"] | bool | tuple[str, ...] = True
    """Packages that come along: all dependencies, none, those that patterns select (`["lib*"]`, `["!perl*"]`), or
    `libs`: packages of shared libraries that the packages or such libraries depend on."""
    keep: tuple[Glob, ...] = ()
    """Patterns of the packages' files to include: programs, data, and modules that programs load by name. Without
    `keep`, all. What a kept file needs to start comes along: shared libraries, dynamic linker, interpreter; so do the
    targets of links, and the copyright of each package that gives a file. What no package has is an error."""
    drop: tuple[Glob, ...] = ()
    """Patterns of the packages' files to leave out; a directory includes its content."""
    provided: tuple[Glob, ...] = ()
    """Patterns of libraries, dynamic linkers and interpreters that kept files need and another image of the same root
    file system has: `["**/libc.so.6"]`. They do not come along."""
    concatenate: Mapping[str, tuple[Glob, ...]] = MappingProxyType({})
    """Path -> patterns of the packages' files that are concatenated there, sorted by path, kept or not."""
    kernel: bool = False
    """Makes an image for `kernel:` as LinuxKit has it: boot/vmlinuz-* becomes /kernel, and usr/lib/modules becomes
    /kernel.tar, with dependency data."""
    files: tuple[OwnFile, ...] = ()
    """Files of the recipe's own."""
    symlinks: Mapping[str, tuple[ImagePath, ...]] = MappingProxyType({})
    """Target -> paths of relative symlinks to it: `{bin/busybox: [bin/sh, sbin/init]}`."""
    entrypoint: tuple[Argument, ...] | None = None
    """Program and first arguments of a container, before `cmd` (image-spec, config.md)."""
    cmd: tuple[Argument, ...] | None = None
    """Program and arguments of a container; `command` of a spec replaces them."""
    env: tuple[Variable, ...] | None = None
    """Environment of a container: `["PATH=/usr/bin:/bin"]`."""
    workdir: AbsoluteOrNone | None = None
    """Working directory of a container."""
    user: str | None = None
    """User, and group, of a container: `"1000:1000"`."""

    def problems(self) -> Iterator[tuple[KeyPath, str, str]]:
        for index, package in enumerate(self.packages):
            missing = [arch for arch in self.arches if not isinstance(package, str) and arch not in package]
            if missing:
                yield ("packages", index), f"no package for {', '.join(missing)}", "name one, or shorten arches"
        first: dict[str, int] = {}
        for index, file in enumerate(self.files):
            if first.setdefault(file.path, index) != index:
                yield ("files", index, "path"), f"{file.path!r} stands twice", f"first as files[{first[file.path]}]"


@dataclass(frozen=True, eq=False)
class Recipe:
    """A build.yml and its own files, as they were when it was loaded.

    sources: content by `source`. places: key path -> place in build.yml.
    """

    folder: Path
    build: Build
    sources: Mapping[str, bytes]
    places: Mapping[KeyPath, Place]

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) of the recipe's values and the bytes of its own files; comments do not count."""
        own = {source: hashlib.sha256(data).hexdigest() for source, data in self.sources.items()}
        return hashlib.sha256(canonical_json([plain(self.build), own])).hexdigest()

    @property
    def reference(self) -> str:
        """The image's name and tag: `nodekiln/sshd:<the first 40 digits of the hash>`."""
        return f"{self.build.org}/{self.build.image}:{self.hash[:40]}"

    def packages(self, arch: str) -> list[str]:
        """Returns the recipe's packages for `arch`. Problems if the recipe is not for `arch`."""
        if arch not in self.build.arches:
            message = f"{self.build.image} is made for {', '.join(self.build.arches)}, not for {arch}"
            raise Problems([Problem(_place(self.places, ("arches",)), message)])
        return [package if isinstance(package, str) else package[arch] for package in self.build.packages]

    def request(self, arch: str) -> str:
        """Returns the arguments of `resolve.choose` as JSON."""
        request = {"packages": self.packages(arch), "dependencies": plain(self.build.dependencies)}
        return canonical_json(request).decode()

    def where(self, path: KeyPath) -> str:
        """Returns the place of the value at `path`: `images/sshd/build.yml:7:3`."""
        return str(_place(self.places, path))


def load(folder: Path) -> Recipe:
    """Loads the recipe in `folder`. Problems has every mistake with its place."""
    file = folder / FILE
    reader = Reader()
    try:
        build: Build = reader.read(kind(Build), _read(file), ())
    except InvalidValue:
        raise Problems(reader.problems) from None
    problems = [
        *reader.problems,
        *_misnamed(build, folder, reader.places[()]),
        *(
            Problem(_place(reader.places, path), _under(message, path), hint)
            for path, message, hint in violations(build)
        ),
    ]
    sources: dict[str, bytes] = {}
    for index, own in enumerate(build.files):
        if own.source is not None and own.source not in sources:
            try:
                sources[own.source] = _bytes(folder / own.source, folder)
            except (OSError, ValueError) as error:
                place = _place(reader.places, ("files", index, "source"))
                problems.append(Problem(place, f"{own.source!r} cannot be used: {getattr(error, 'strerror', error)}"))
    if problems:
        raise Problems(problems)
    return Recipe(folder, build if build.image else Build(**vars(build), image=_name(folder)), sources, reader.places)


def _name(folder: Path) -> str:
    """Returns the name of a recipe's folder."""
    return folder.absolute().name


def _misnamed(build: Build, folder: Path, place: Place) -> Iterator[Problem]:
    """Yields the problem of a recipe without a name whose folder's cannot serve."""
    if not build.image and not NAME.matches(_name(folder)):
        yield Problem(
            place, f"the folder's name {_name(folder)!r} is not {NAME.expected}", "name the image: `image: x`"
        )


def _read(file: Path) -> document.Node:
    start = Place(str(file), 1, 1)
    if containment.escapes(file, file.parent.parent):
        raise Problems([Problem(start, "leads outside the project", containment.ALLOWED)])
    try:
        node = document.parse(tracked.contents(file), str(file))
    except OSError as error:
        raise Problems([Problem(start, f"no recipe here: {error.strerror}")]) from None
    return node or document.Mapping(start, [])


def _bytes(path: Path, folder: Path) -> bytes:
    """Reads a recipe's own file, which must lie in the project, or in the folder above the recipe's `folder`."""
    if containment.escapes(path, folder.parent):
        raise ValueError(f"it lies outside the project ({containment.ALLOWED})")
    data = tracked.contents(path)
    if len(data) > SOURCE_LIMIT:
        raise ValueError(f"more than {SOURCE_LIMIT >> 20} MiB; make it part of a package")
    return data


def _place(places: Mapping[KeyPath, Place], path: KeyPath) -> Place:
    while path not in places:
        path = path[:-1]
    return places[path]


def _under(message: str, path: KeyPath) -> str:
    return f"{dotted(path)}: {message}" if path else message
