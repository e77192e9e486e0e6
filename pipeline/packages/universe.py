"""The packages of several indexes as one universe: records found by a scan of the bytes, newest version first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from pipeline.packages import relations
from pipeline.packages.archive_signature import ArchiveSignature
from pipeline.packages.error import PackageError
from pipeline.packages.package import Package
from pipeline.packages.relations import Alternatives, Relation
from pipeline.packages.release import Entry
from pipeline.packages.version import sort_key

_FIRST = re.compile(rb"Package:([^\n]*)")
_PACKAGE = re.compile(rb"\nPackage:([^\n]*)")
_PROVIDES = re.compile(rb"\nProvides:([^\n]*(?:\n[ \t][^\n]*)*)")
"""Literal beginnings make the scan fast; so a field's name is written as the archives' tools write it."""
_NAME_CHARACTER = re.compile(rb"[A-Za-z0-9+.-]")
_RECORD_END = b"\n\n"

_PRIORITIES = ("", "required", "important", "standard", "optional")
"""Priorities, the most important one first (Debian Policy, 2.5); a record without one precedes them, as in apt."""
_REQUIRED = ("Pre-Depends", "Depends")
_EXCLUDED = ("Conflicts", "Breaks")
_MENTIONS = (*_REQUIRED, *_EXCLUDED, "Recommends", "Suggests", "Replaces", "Enhances", "Provides")
"""Fields that name packages, in apt's order."""
_CONTENT = ("Installed-Size", *_REQUIRED, *_EXCLUDED, "Replaces", "Size", "Multi-Arch")
"""Fields that distinguish two packages of the same name and version, as in apt."""
_UNIVERSES = 4
"""Number of universes to keep."""


class Index(NamedTuple):
    """A verified, uncompressed Packages file (repository format, "Packages" indices)."""

    archive: str
    """Name of the archive (`debian`), or its base URL."""
    suite: str
    """Codename of the suite (`bookworm-security`)."""
    component: str
    date: str
    """Date of the Release file, ISO 8601."""
    priority: int
    """apt_preferences(5): 500; 100 for NotAutomatic with ButAutomaticUpgrades; 1 for NotAutomatic."""
    data: bytes
    entry: Entry
    """The file, as the Release file lists it."""
    signature: ArchiveSignature
    """The signature of the Release file."""


class Version:
    """One version of a package: its record, and the indexes that have it. Compared by identity."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        self.name = fields["package"]
        self.version = fields["version"]
        self.sources: list[tuple[Index, dict[str, str]]] = []
        """Each index that has this version, with its own record."""

    @cached_property
    def required(self) -> list[Alternatives]:
        """Clauses of Pre-Depends and Depends."""
        return [clause for field in _REQUIRED for clause in self._relations(field)]

    @cached_property
    def excluded(self) -> list[Relation]:
        """Relations of Conflicts and Breaks."""
        return [relation for field in _EXCLUDED for clause in self._relations(field) for relation in clause]

    @cached_property
    def provided(self) -> list[tuple[str, str]]:
        """Name and version ("" for none) of each package that this one provides; `x:any` for any architecture."""
        provided = []
        allowed = self.fields.get("multi-arch") == "allowed"
        for relation, *_ in self._relations("Provides"):
            if relation.operator not in ("", "="):
                continue
            if relation.name == self.name and relation.version in ("", self.version):
                continue
            name = f"{relation.name}:{relation.qualifier}" if relation.qualifier else relation.name
            provided.append((name, relation.version))
            if allowed and not relation.qualifier:
                provided.append((name + ":any", relation.version))
        return [*provided, (self.name + ":any", self.version)] if allowed else provided

    @property
    def importance(self) -> int:
        """Rank of the priority; the smallest is the most important."""
        priority = self.fields.get("priority", "").lower()
        return _PRIORITIES.index(priority) if priority in _PRIORITIES else len(_PRIORITIES)

    @property
    def source(self) -> tuple[str, str]:
        """Name and version of the source package."""
        name, _, version = self.fields.get("source", self.name).partition(" ")
        return name, version.strip(" ()") or self.version

    @property
    def priority(self) -> int:
        """Priority of the best index."""
        return max(index.priority for index, _ in self.sources)

    @property
    def content(self) -> tuple[str, ...]:
        return tuple(re.sub(r"[\s=]|0(?=:)", "", self.fields.get(field.lower(), "")) for field in _CONTENT)

    def _relations(self, field: str) -> list[Alternatives]:
        try:
            return relations.parse(self.fields.get(field.lower(), ""))
        except ValueError as error:
            raise PackageError(f"{field} of {self.name} {self.version}: {error}") from None


@lru_cache(_UNIVERSES)
def universe(indexes: tuple[Index, ...], architecture: str) -> Universe:
    """Returns the universe of these indexes; the last ones are kept."""
    return Universe(indexes, architecture)


class Universe:
    """The packages of one architecture (Debian's name) in `indexes`; an earlier index precedes a later one."""

    def __init__(self, indexes: Sequence[Index], architecture: str) -> None:
        self.indexes = tuple(indexes)
        self.architecture = architecture
        self._offsets: dict[bytes, list[tuple[int, int]]] = {}
        """Name -> number of an index, and offset of a record in it."""
        self._versions: dict[str, tuple[Version, ...]] = {}
        self._mentions: dict[str, tuple[int, ...]] = {}
        self._matching: dict[Relation, tuple[Version, ...]] = {}
        for number, index in enumerate(self.indexes):
            first = _FIRST.match(index.data)
            for match in (*([first] if first else ()), *_PACKAGE.finditer(index.data)):
                self._offsets.setdefault(match[1].strip(), []).append((number, match.start()))

    @cached_property
    def _providers(self) -> dict[bytes, list[str]]:
        """Name of a virtual package -> names of the packages with a version that provides it."""
        providers: dict[bytes, list[str]] = {}
        for index in self.indexes:
            for match in _PROVIDES.finditer(index.data):
                start = index.data.rfind(_RECORD_END, 0, match.start()) + 1
                package = _PACKAGE.search(index.data, start) if start else _FIRST.match(index.data)
                owner = package[1].strip().decode() if package else ""
                for clause in match[1].split(b","):
                    name = clause.split(b"(", 1)[0].split(b":", 1)[0].strip()
                    providers.setdefault(name, []).append(owner)
        return providers

    def names(self) -> list[str]:
        """Returns the names of all packages."""
        return [name.decode() for name in self._offsets]

    def key(self, relation: Relation) -> str:
        """Returns the name that `versions` and `providers` have the relation's target under."""
        if relation.qualifier == "any":
            return relation.name + ":any"
        if relation.qualifier in ("", "native", self.architecture):
            return relation.name
        return f"{relation.name}:{relation.qualifier}"

    def versions(self, name: str) -> tuple[Version, ...]:
        """Returns the versions of a package, the newest first; () for a virtual or an unknown one."""
        if name not in self._versions:
            self._versions[name] = self._read(name)
        return self._versions[name]

    def candidate(self, name: str) -> Version | None:
        """Returns the version that apt prefers: the newest of those whose index has the highest priority."""
        return max(self.versions(name), key=lambda version: version.priority, default=None)

    def providers(self, key: str) -> list[tuple[Version, str]]:
        """Returns each version that provides the package, with the version that it provides it as ("" for none)."""
        name = key.partition(":")[0]
        owners = dict.fromkeys([*self._providers.get(name.encode(), ()), *([name] if key != name else ())])
        versions = (version for owner in owners for version in self.versions(owner))
        return [(version, provided) for version in versions for other, provided in version.provided if other == key]

    def matching(self, relation: Relation) -> tuple[Version, ...]:
        """Returns each version of the relation's target, and each that provides it, that matches the relation."""
        if relation not in self._matching:
            key = self.key(relation)
            own = [version for version in self.versions(key) if relation.matches(version.version)]
            provided = [version for version, provided in self.providers(key) if relation.matches(provided)]
            self._matching[relation] = tuple(dict.fromkeys([*own, *provided]))
        return self._matching[relation]

    def package(self, version: Version) -> Package:
        """Returns the package as the suite with the shortest codename has it: the others are based on that one.

        PackageError if its record is incomplete.
        """
        index, fields = min(version.sources, key=lambda source: (len(source[0].suite), source[0].suite))
        name, number = version.name, version.version
        try:
            filename, size, sha256 = fields["filename"].removeprefix("./"), int(fields["size"]), fields["sha256"]
        except (KeyError, ValueError):
            message = f"the record of {name} {number} in {index.suite} has no Filename, Size or SHA256"
            raise PackageError(message) from None
        return Package(name, number, fields["architecture"], filename, size, sha256, index.suite, index.archive)

    def is_essential(self, name: str) -> bool:
        """Returns whether the package is essential, or apt, which apt takes for essential."""
        return name == "apt" or self._is_marked(name, "essential")

    def is_important(self, name: str) -> bool:
        """Returns whether the package is protected (deb-control(5), `Protected`), or `Important` as in apt."""
        return name == "apt" or self._is_marked(name, "important") or self._is_marked(name, "protected")

    def mention(self, name: str) -> tuple[int, ...]:
        """Returns the place where the indexes first name a package, as its own record or in a relation of another.

        apt numbers packages by it, and prefers the last one of providers that are otherwise equal.
        """
        if name not in self._mentions:
            places = (self._first_mention(number, name) for number in range(len(self.indexes)))
            self._mentions[name] = next(filter(None, places), (len(self.indexes),))
        return self._mentions[name]

    def _is_marked(self, name: str, field: str) -> bool:
        return any(version.fields.get(field) == "yes" for version in self.versions(name))

    def _read(self, name: str) -> tuple[Version, ...]:
        versions: dict[tuple[object, ...], Version] = {}
        for number, offset in self._offsets.get(name.encode(), ()):
            index = self.indexes[number]
            fields = self._fields(number, offset)
            if fields.get("architecture") not in (self.architecture, "all") or not fields.get("version"):
                continue
            version = Version(fields)
            version = versions.setdefault((sort_key(version.version), version.content), version)
            version.sources.append((index, fields))
        return tuple(sorted(versions.values(), key=lambda version: sort_key(version.version), reverse=True))

    def _fields(self, number: int, offset: int) -> dict[str, str]:
        """Returns the fields of the record that contains the offset: name in lower case -> value."""
        data = self.indexes[number].data
        start, end = max(data.rfind(_RECORD_END, 0, offset + 1), 0), data.find(_RECORD_END, offset + 1)
        text = data[start : end if end >= 0 else len(data)].strip(b"\n").decode(errors="replace")
        fields: dict[str, str] = {}
        name = ""
        for line in text.split("\n"):
            if line[:1] in (" ", "\t"):
                fields[name] += "\n" + line
            else:
                name, _, value = line.partition(":")
                name = name.lower()
                fields[name] = value.strip()
        return fields

    def _first_mention(self, number: int, name: str) -> tuple[int, ...] | None:
        """Returns index, offset of the record, field and place in the field; None if the index does not name it."""
        data, needle = self.indexes[number].data, name.encode()
        position = data.find(needle)
        while position >= 0:
            end = position + len(needle)
            is_whole = not _NAME_CHARACTER.match(data, end) and not _NAME_CHARACTER.match(data, position - 1)
            if is_whole and (place := self._mention_in(number, position, name)):
                return place
            position = data.find(needle, end)
        return None

    def _mention_in(self, number: int, position: int, name: str) -> tuple[int, ...] | None:
        """Returns the place of the first mention in the record around `position`; None if it is in other fields."""
        data = self.indexes[number].data
        line = data[data.rfind(b"\n", 0, position) + 1 :][:12].lower()
        if not line.startswith((b" ", b"\t", b"package:", *(field.lower().encode() for field in _MENTIONS))):
            return None
        fields = self._fields(number, position)
        start = data.rfind(_RECORD_END, 0, position) + 1
        if fields.get("package") == name:
            return (number, start, 0, 0)
        for rank, field in enumerate(_MENTIONS, 1):
            if field.lower() in fields:
                named = [self.key(each) for clause in relations.parse(fields[field.lower()]) for each in clause]
                if name in named:
                    return (number, start, rank, named.index(name))
        return None
