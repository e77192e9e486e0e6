"""Installed packages of a root file system, with their files: dpkg's and apk's databases (dpkg(1), apk-tools).

dpkg has one list of packages and a file of paths for each; images without dpkg (distroless) have a folder of packages
in place of the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

STATUS = "var/lib/dpkg/status"
STATUS_FOLDER = "var/lib/dpkg/status.d/"
PATHS = "var/lib/dpkg/info/"
APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
DATABASE_LIMIT = 64 << 20
"""Maximum size of a package database that is read, in bytes: ten times that of a full desktop."""

_FIELD = re.compile(r"^([A-Za-z-]+):[ \t]*(.*)$", re.MULTILINE)

Read = Callable[[str], str | None]
"""Returns the text of a regular file of the root; None for a path that is none."""


class Installed(NamedTuple):
    """An installed package. kind: `deb` or `apk`. paths: of its files, links and directories."""

    kind: Literal["deb", "apk"]
    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    paths: tuple[str, ...]


def installed(read: Read, paths: Mapping[str, object]) -> Iterator[Installed]:
    """Yields the packages in the databases of a root with `paths`."""
    for paragraph in (read(STATUS) or "").split("\n\n"):
        yield from _dpkg(dict(_FIELD.findall(paragraph)), read)
    for path in paths:
        if path.startswith(STATUS_FOLDER) and not path.endswith(".md5sums"):
            for package in _dpkg(dict(_FIELD.findall(read(path) or "")), read):
                yield package._replace(paths=package.paths or _summed(read(f"{path}.md5sums") or ""))
    for path in APK:
        for paragraph in (read(path) or "").split("\n\n"):
            yield from _apk(paragraph)


def distribution(read: Read) -> tuple[str, str]:
    """Returns ID, and codename or version, of a root's distribution (os-release(5)); "" for what it does not have."""
    text = next((text for path in OS_RELEASE if (text := read(path))), "")
    fields = {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in text.splitlines())}
    return fields.get("ID", ""), fields.get("VERSION_CODENAME") or fields.get("VERSION_ID", "")


def _dpkg(fields: Mapping[str, str], read: Read) -> Iterator[Installed]:
    name, version, architecture = (fields.get(key, "") for key in ("Package", "Version", "Architecture"))
    if not (name and version and fields.get("Status", "installed").endswith("installed")):
        return
    lists = (f"{PATHS}{name}.list", f"{PATHS}{name}:{architecture}.list")
    text = next((text for path in lists if (text := read(path)) is not None), "")
    paths = tuple(path.strip("/") for path in text.splitlines() if path.strip("/."))
    source, _, source_version = fields.get("Source", name).partition(" ")
    yield Installed("deb", name, version, architecture, source, source_version.strip("() ") or version, paths)


def _summed(text: str) -> tuple[str, ...]:
    """Returns the paths in a list of check sums (md5sum(1))."""
    return tuple(line.partition(" ")[2].strip().lstrip("./") for line in text.splitlines() if line.strip())


def _apk(paragraph: str) -> Iterator[Installed]:
    """Yields the package of a paragraph: P name, V version, A architecture, o source, F folder, R a name in it."""
    fields: dict[str, str] = {}
    paths, folder = [], ""
    for line in paragraph.splitlines():
        key, _, value = line.partition(":")
        if key == "F":
            folder = value
            paths.append(folder)
        elif key == "R":
            paths.append(f"{folder}/{value}".lstrip("/"))
        else:
            fields.setdefault(key, value)
    if (name := fields.get("P")) and (version := fields.get("V")):
        source = fields.get("o", name)
        yield Installed("apk", name, version, fields.get("A", ""), source, version, tuple(filter(None, paths)))
