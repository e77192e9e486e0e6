"""Sources of packages: the archives, suites and keys that a project names, in sources.yml, by release.

    trixie:
      - {archive: debian, suites: [trixie, trixie-updates]}
      - {url: "https://packages.example.org/apt", suites: [stable], signed-by: keys/example.asc}

`releases.yml` beside this module has the releases that every project has. A release of a project's file replaces the
built-in one of that name; the first one is the project's default. Keys of the built-in archives come with nodekiln.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pipeline.host import containment, tracked
from pipeline.language import document
from pipeline.language.kinds import Pattern
from pipeline.language.problem import KeyPath, Problem, Problems, Violations, dotted, suggestion
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import Key, kind, mapping, violations
from pipeline.model.digest import canonical_json

FILE = Path("sources.yml")
"""A project's own sources, in its root."""
BUILT_IN = Path(__file__).with_name("releases.yml")
DEFAULT = "trixie"
"""The release of a project without a sources.yml."""
KEYS = Path(__file__).with_name("keys")
ARCHIVES: Mapping[str, Path] = {
    "debian": KEYS / "debian.pgp",
    "debian-security": KEYS / "debian.pgp",
    "debian-debug": KEYS / "debian.pgp",
    "ubuntu": KEYS / "ubuntu.pgp",
    "ubuntu-ports": KEYS / "ubuntu.pgp",
}
"""Archives whose keys come with nodekiln. A mirror has the archive in a folder of this name."""

_WORD = r"[A-Za-z0-9][A-Za-z0-9.+~_-]*"
ArchiveName = Annotated[
    str, Pattern(r"[a-z0-9][a-z0-9.+-]*", "the name of an archive (debian, ubuntu, …)", words=tuple(ARCHIVES))
]
Url = Annotated[str, Pattern(r"(https?://|file:/)[^\s@]+", "a URL (https://…, http://… or file:/…) without a password")]
Suite = Annotated[str, Pattern(rf"{_WORD}(/{_WORD})*", "a suite (trixie, stable-security, …)")]
Component = Annotated[str, Pattern(rf"{_WORD}(/{_WORD})*", "a component (main, contrib, …)")]
Architecture = Annotated[str, Pattern(r"[a-z0-9]+(-[a-z0-9]+)*", "Debian's name of an architecture (amd64, armhf, …)")]
Date = Annotated[str, Pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date, YYYY-MM-DD")]


@mapping
class Source:
    """Suites of one archive, which have the same components and keys."""

    suites: tuple[Suite, ...]
    """Suites, by codename: `[trixie, trixie-updates]`."""
    archive: ArchiveName | None = None
    """Name of the archive, whose mirrors are those of the host or of the setting `packages`: `debian`."""
    url: Url | None = None
    """Base URL of an archive of one's own, in place of `archive`: the folder that has `dists`. One of this
    machine (`file:`) lies in the project."""
    components: tuple[Component, ...] = ("main",)
    """Components of the suites; `[main]` by default."""
    snapshot: Date | None = None
    """A date: the archive as it was then (at 00:00 UTC), from the archive of old versions."""
    architectures: tuple[Architecture, ...] | None = None
    """The architectures that it has packages for, by Debian's names; by default all."""
    signed_by: Annotated[str | None, Key("signed-by")] = None
    """File in the project with the archive's OpenPGP certificates, armored or not. Archives of Debian and Ubuntu have
    theirs by default."""

    @property
    def name(self) -> str:
        """The archive's name, or its URL."""
        return self.archive or str(self.url)

    @property
    def keys(self) -> Path:
        """The file of the certificates that must have signed."""
        return Path(self.signed_by) if self.signed_by else ARCHIVES[self.name]

    @property
    def day(self) -> str:
        """The date of the snapshot, YYYYMMDD; "" for the present."""
        return (self.snapshot or "").replace("-", "")

    def has(self, architecture: str) -> bool:
        """Returns whether it has packages for `architecture` (Debian's name)."""
        return self.architectures is None or architecture in self.architectures

    def lines(self) -> list[str]:
        """Returns a line for each suite, as a lock records it: `debian@20261101 trixie main contrib`."""
        name = f"{self.name}@{self.day}" if self.day else self.name
        return [" ".join([name, suite, *self.components]) for suite in self.suites]

    def problems(self) -> Violations:
        if (self.archive is None) == (self.url is None):
            yield (), "needs exactly one of archive and url", ""
        elif self.signed_by is None and self.name not in ARCHIVES:
            hint = suggestion(self.name, list(ARCHIVES)) or "name the file of its keys"
            yield ("archive" if self.archive else "url",), f"'signed-by' is missing for {self.name}", hint
        for name in ("suites", "components", "architectures"):
            values = getattr(self, name)
            if values == ():
                yield (name,), f"{name} is empty", "name one, or leave the source out"
            for number, value in enumerate(values or ()):
                if value in values[:number]:
                    yield (name, number), f"{value!r} stands twice", ""
        if self.snapshot is not None:
            yield from ((("snapshot",), message, hint) for message, hint in self._wrong_snapshot(self.snapshot))

    def _wrong_snapshot(self, text: str) -> Iterator[tuple[str, str]]:
        try:
            day = datetime.date.fromisoformat(text)
        except ValueError:
            yield f"{text!r} is not a day of the calendar", ""
            return
        if self.url is not None:
            yield "a snapshot needs an archive", "a URL of one's own has the date in it"
        if day > (today := datetime.datetime.now(datetime.UTC).date()):
            yield f"{text} is in the future", f"today is {today}"


Releases = Mapping[str, tuple[Source, ...]]


class Sources(NamedTuple):
    """The releases of a project. default: name of the one for specs without `build.release`."""

    releases: Releases
    default: str

    def __call__(self, release: str) -> tuple[Source, ...]:
        """Returns the sources of a release; the default one for ""."""
        return self.releases[release or self.default]


def sourced(request: str, release: Iterable[Source]) -> str:
    """Returns a recipe's request (JSON) with the sources that it is resolved by."""
    lines = [line for source in release for line in source.lines()]
    return canonical_json({**json.loads(request), "sources": lines}).decode()


def load(folder: Path = Path()) -> Sources:
    """Returns the releases of the project in `folder`. Problems has every mistake in its sources.yml, with places."""
    built_in = _read(BUILT_IN, tracked.contents(BUILT_IN))
    path = folder / FILE
    if not tracked.is_file(path):
        return Sources(built_in, DEFAULT)
    own = _read(path, tracked.contents(path))
    return Sources({**built_in, **own}, next(iter(own), DEFAULT))


def _read(path: Path, unsafe_text: bytes) -> Releases:
    """Reads a file of sources; Problems."""
    node = document.parse(unsafe_text, str(path))
    if node is None:
        return {}
    reader = Reader()
    try:
        releases: Releases = reader.read(kind(Mapping[str, tuple[Source, ...]]), node, ())
    except InvalidValue:
        raise Problems(reader.problems) from None
    wrong = list(_wrong_releases(path, releases))
    problems = [
        *reader.problems,
        *(Problem(reader.place(place), f"{dotted(place)}: {message}", hint) for place, message, hint in wrong),
    ]
    if problems:
        raise Problems(problems)
    return releases


def _wrong_releases(path: Path, releases: Releases) -> Violations:
    for name, sources in releases.items():
        yield from violations(sources, (name,))
        if not sources:
            yield (name,), "has no source", "name one"
        seen: dict[tuple[str, str], int] = {}
        for number, source in enumerate(sources):
            for index, suite in enumerate(source.suites):
                first = seen.setdefault((source.name, suite), number)
                if first != number:
                    hint = f"it is in {name}[{first}] already; one source has all its components"
                    yield (name, number, "suites", index), f"{source.name} {suite} stands twice", hint
            yield from _wrong_keys(path, (name, number, "signed-by"), source)


def _wrong_keys(path: Path, place: KeyPath, source: Source) -> Violations:
    if source.signed_by is None:
        return
    file = path.parent / source.signed_by
    if containment.escapes(file, path.parent):
        yield place, f"{source.signed_by!r} lies outside the project", containment.ALLOWED
    elif not tracked.is_file(file):
        yield place, f"there is no file {source.signed_by!r}", "it has the archive's OpenPGP certificates"
