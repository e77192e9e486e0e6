"""Recipe: a folder with a `build.yml` that says what goes into an image, and files of its own.

The keys `image`, `org`, `arches` and `config` are those of LinuxKit's build.yml; where it has a Dockerfile, a recipe
names Debian packages and what of them is wanted. A spec names the image `@pkg:FOLDER`.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

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
"""Bytes of one own file. They are part of an action's parameters, and read whenever tasks are listed: what is larger
than a script or a table belongs into a package."""

Name = Annotated[str, Pattern(r"[a-z0-9]+([._-][a-z0-9]+)*", "a name (lower-case letters and digits, . _ - between)")]
Package = Annotated[str, Pattern(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?", "a Debian package (NAME, NAME=VERSION)")]
Arch = Annotated[str, Pattern(r"[a-z0-9]+", "an architecture (amd64, arm64, …)")]
ImagePath = Annotated[str, Pattern(r"(?!(.*/)?\.{0,2}(/|$)).+", "a path in the image (without / before and .. in it)")]
Glob = Annotated[str, Pattern(r"[^/].*", "a pattern of paths in the image, without a leading slash")]
Mode = Annotated[str, Pattern(r"[0-7]{3,4}", 'a mode: three or four octal digits in quotes, as "0755"')]


@mapping
class OwnFile:
    """A file, symlink or directory that the recipe brings itself. It wins over what packages have in its place."""

    path: ImagePath
    source: str | None = None
    """A file beside build.yml (or elsewhere in the project: the path is relative to the recipe's folder). With
    NODEKILN_OUTSIDE=1 in the environment, any file of the host."""
    contents: str | None = None
    symlink: str | None = None
    directory: bool = False
    mode: Mode | None = None
    """Default: "0644", a directory's "0755"."""
    uid: int = 0
    gid: int = 0

    def problems(self) -> Iterator[tuple[KeyPath, str, str]]:
        given = [self.source, self.contents, self.symlink, self.directory or None]
        if sum(each is not None for each in given) != 1:
            yield (), f"{self.path}: one of source, contents, symlink and directory is wanted", ""
        for name in ("uid", "gid"):
            if not 0 <= getattr(self, name) < 2**32 - 1:
                yield (name,), f"{name} {getattr(self, name)} is not between 0 and {2**32 - 2}", ""


@mapping
class Build:
    """What a build.yml may say.

    In `keep`, `drop` and `concatenate`, `*` stands for anything in a name and `**` for any number of directories.
    """

    image: Name
    org: Name = "nodekiln"
    arches: tuple[Arch, ...] = ("amd64", "arm64")
    config: Config | None = None
    """How the image wants to be run: what a service in a spec may say. It becomes the label org.mobyproject.config."""
    packages: tuple[Package | Mapping[str, Package], ...] = ()
    """Debian packages; where architectures differ, one for each: `{amd64: …, arm64: …}`."""
    dependencies: bool | tuple[str, ...] = True
    """Whether what they depend on comes along. A list of patterns picks: `["lib*"]`, `["!perl*", "!debconf"]`."""
    keep: tuple[Glob, ...] = ()
    """Only what matches is taken from the packages (all, if there is no `keep`)."""
    drop: tuple[Glob, ...] = ()
    """What matches is left out. Matters to packages' files alone, as `keep`; a directory takes along what is in it."""
    concatenate: Mapping[str, tuple[Glob, ...]] = MappingProxyType({})
    """Files made of others: a path, and what is strung together there, sorted by path, whether it is kept or not."""
    kernel: bool = False
    """boot/vmlinuz-* becomes /kernel and lib/modules becomes /kernel.tar, with dependency data, as LinuxKit has it."""
    files: tuple[OwnFile, ...] = ()
    symlinks: Mapping[str, tuple[ImagePath, ...]] = MappingProxyType({})
    """Many names for one file: `{bin/busybox: [bin/sh, sbin/init]}`. The links are relative."""
    entrypoint: tuple[Argument, ...] | None = None
    cmd: tuple[Argument, ...] | None = None
    env: tuple[Variable, ...] | None = None
    workdir: AbsoluteOrNone | None = None
    user: str | None = None

    def problems(self) -> Iterator[tuple[KeyPath, str, str]]:
        for index, package in enumerate(self.packages):
            missing = [arch for arch in self.arches if not isinstance(package, str) and arch not in package]
            if missing:
                yield ("packages", index), f"no package for {', '.join(missing)}", "name one, or shorten arches"
        seen: dict[str, int] = {}
        for index, file in enumerate(self.files):
            if seen.setdefault(file.path, index) != index:
                yield ("files", index, "path"), f"{file.path!r} stands twice", f"first as files[{seen[file.path]}]"


@dataclass(frozen=True, eq=False)
class Recipe:
    """A build.yml, and the own files that it names, as they were when it was loaded.

    sources: what each `source` holds. places: where everything stands in build.yml.
    """

    folder: Path
    build: Build
    sources: Mapping[str, bytes]
    places: Mapping[KeyPath, Place]

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) of what the recipe says, with the bytes of its own files; comments do not count."""
        own = {source: hashlib.sha256(data).hexdigest() for source, data in self.sources.items()}
        return hashlib.sha256(canonical_json([plain(self.build), own])).hexdigest()

    @property
    def reference(self) -> str:
        """The image's name and tag: `nodekiln/sshd:<the first 40 digits of the hash>`."""
        return f"{self.build.org}/{self.build.image}:{self.hash[:40]}"

    def packages(self, arch: str) -> list[str]:
        """The packages that the recipe names for `arch`. Problems if it is not made for that."""
        if arch not in self.build.arches:
            made_for = f"{self.build.image} is made for {', '.join(self.build.arches)}, not for {arch}"
            raise Problems([Problem(_place(self.places, ("arches",)), made_for)])
        return [each if isinstance(each, str) else each[arch] for each in self.build.packages]

    def request(self, arch: str) -> str:
        """What decides which packages the image is made of: the JSON that `debian.resolve_all` takes."""
        asked = {"packages": self.packages(arch), "dependencies": plain(self.build.dependencies)}
        return canonical_json(asked).decode()

    def where(self, path: KeyPath) -> str:
        """Where the value at `path` stands: `images/sshd/build.yml:7:3`."""
        return str(_place(self.places, path))


def load(folder: Path) -> Recipe:
    """The recipe in `folder`. Problems names every mistake in it, each with its place."""
    file = folder / FILE
    reader = Reader()
    try:
        build: Build = reader.read(kind(Build), _read(file), ())
    except InvalidValue:
        raise Problems(reader.problems) from None
    problems = [
        *reader.problems,
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
    return Recipe(folder, build, sources, reader.places)


def relative(target: str, path: str) -> str:
    """What a symlink at `path` says to lead to `target`: from sbin/init to bin/busybox it is ../bin/busybox."""
    return posixpath.relpath("/" + target, "/" + posixpath.dirname(path))


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
    """What a recipe's own file holds: one of the project, or of the folder that holds the recipe's `folder`."""
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
