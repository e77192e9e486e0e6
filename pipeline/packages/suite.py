"""Suites: the newest Release file of each, verified, and kept in the user's cache folder.

    NAME/InRelease, or Release and Release.gpg      as they were when they were last verified
    NAME/condition.json                             where they came from, and the headers of the next request

An unchanged suite costs one conditional request, and its Date never goes back: an old state with a good signature is an
attack, or a mirror that lags. A snapshot does not change and is requested once.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from pipeline.host import atomic, log, settings
from pipeline.host.offline import VARIABLE as OFFLINE
from pipeline.host.offline import is_offline
from pipeline.host.terminal import say
from pipeline.model.errors import BadInput
from pipeline.oci.error import ImageError
from pipeline.oci.progress import transfer
from pipeline.packages import archive_signature, openpgp, snapshot
from pipeline.packages import release as releases
from pipeline.packages.archive_signature import ArchiveSignature
from pipeline.packages.error import NotInRepository, PackageError, SuiteUnreadable
from pipeline.packages.mirrors import LOCAL, Mirrors
from pipeline.packages.release import Release
from pipeline.packages.sources import Source

EXPIRED = "NODEKILN_EXPIRED"
"""Environment: `refuse` refuses Release files after their Valid-Until, `warn` (the default) warns. In pyproject.toml:
`[tool.nodekiln] expired`."""
RELEASE_LIMIT = 16 << 20
"""Maximum size of a Release file, in bytes; those of large archives have some hundred KiB."""
NAME = 80
"""Characters of an archive's name or URL, and suite, that the name of a folder begins with."""
SIGNED = "InRelease"
PLAIN, DETACHED = "Release", "Release.gpg"
CONDITION = "condition.json"


class Suite(NamedTuple):
    """A suite of a source. folder: what is kept of it."""

    source: Source
    name: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.source.name} {self.name}" + (f" at {self.source.snapshot}" if self.source.snapshot else "")

    def bases(self, mirrors: Mirrors) -> tuple[str, ...]:
        """Returns the URLs of its folder `dists/SUITE`; () if no mirror is known."""
        if self.source.day:
            return (f"{snapshot.dated(self.source.name, f'{self.source.day}T000000Z')}/dists/{self.name}",)
        return tuple(f"{base}/dists/{self.name}" for base in mirrors.bases(self.source.name))


class SignedRelease(NamedTuple):
    """A Release file, and its verified signature."""

    release: Release
    signature: ArchiveSignature


class OpenSuite(NamedTuple):
    """A suite with its verified Release file, and the URLs of its folder, the best first."""

    suite: Suite
    release: Release
    bases: tuple[str, ...]
    signature: ArchiveSignature


Files = Mapping[str, bytes]
"""Name -> contents: an InRelease, or Release and Release.gpg."""


def suites(sources: Iterable[Source], home: Path) -> list[Suite]:
    """Returns the suites of `sources`, in their order. home: the folder that has theirs, apart by archive and keys."""
    return [Suite(source, name, home / _folder_name(source, name)) for source in sources for name in source.suites]


def _folder_name(source: Source, suite: str) -> str:
    """Returns a name for the folder of a suite; another for other keys, so that no project spoils what others read."""
    name = f"{source.lines()[0].split()[0]} {suite}"
    try:
        digest = hashlib.sha256(name.encode() + source.keys.read_bytes()).hexdigest()
    except OSError as error:
        raise PackageError(f"{source.keys}: cannot be read: {error.strerror}") from None
    return f"{quote(name, '')[:NAME]}-{digest[:16]}"


def open_suite(suite: Suite, mirrors: Mirrors) -> OpenSuite:
    """Returns the newest state of `suite`. PackageError if no mirror has one that may be used."""
    known = _known(suite)
    bases = suite.bases(mirrors)
    silent = is_offline() and not (bases and all(base.startswith(LOCAL) for base in bases))
    if known and (suite.source.day or silent):
        return _usable(OpenSuite(suite, known.release, bases, known.signature))
    if silent:
        raise PackageError(f"{suite}: not in the cache, and {OFFLINE} is set")
    errors: list[str] = []
    for base in bases or mirrors.refuse(suite.source.name):
        try:
            release, signature = _newer(suite, known, base, mirrors)
        except NotInRepository:
            errors.append(f"{base}: no such suite: neither {SIGNED} nor {PLAIN} is there")
        except (PackageError, ImageError, OSError) as error:
            errors.append(str(error))
        else:
            others = (each for each in bases if each != base)
            return _usable(OpenSuite(suite, release, (base, *others), signature))
    raise SuiteUnreadable(str(suite), errors)


def _newer(suite: Suite, known: SignedRelease | None, base: str, mirrors: Mirrors) -> SignedRelease:
    """Returns the Release file at `base`, which is kept; `known` if it is unchanged. PackageError if it is older."""
    received = _receive(suite, base, mirrors, _condition(suite, base) if known else {})
    if received is None:
        assert known is not None
        log.info("unchanged: %s", suite)
        return known
    files, condition = received
    release = (signed := _verified(suite, files, base)).release
    _check_name(suite, release, base)
    if known and release.date < known.release.date:
        raise PackageError(
            f"{base} is of {release.iso_date}, older than the {known.release.iso_date} that was read before: a mirror"
            f" that lags, or an attack (if the archive did go back: rm -r {_shell(suite.folder)})"
        )
    _keep(suite, files, {"base": base, "headers": condition})
    return signed


def _receive(
    suite: Suite, base: str, mirrors: Mirrors, condition: Mapping[str, str]
) -> tuple[Files, Mapping[str, str]] | None:
    """Returns the files at `base` and the condition of the next request; None if they are unchanged."""
    try:
        answer = mirrors.open(f"{base}/{SIGNED}", condition)
        if answer is None:
            return None
        return {SIGNED: _small(answer.chunks, answer.size, f"{suite} {SIGNED}")}, answer.condition
    except NotInRepository:
        files = {}
        for name in (PLAIN, DETACHED):
            answer = mirrors.open(f"{base}/{name}")
            assert answer is not None
            files[name] = _small(answer.chunks, answer.size, f"{suite} {name}")
        return files, {}


def _small(chunks: Iterator[bytes], size: int, title: str) -> bytes:
    """Returns a body; PackageError beyond RELEASE_LIMIT. size: as announced, for the display."""
    data = bytearray()
    with transfer(title, size) as progress:
        for chunk in chunks:
            data += chunk
            progress(len(chunk))
            if len(data) > RELEASE_LIMIT:
                raise PackageError(f"{title} has more than {RELEASE_LIMIT >> 20} MiB")
    return bytes(data)


def _verified(suite: Suite, files: Files, place: str) -> SignedRelease:
    """Returns the Release file that is in a suite's files. place: for the message of PackageError."""
    trusted = openpgp.certificates(suite.source.keys)
    try:
        if SIGNED in files:
            signed = openpgp.verified(files[SIGNED], trusted)
        else:
            signed = openpgp.verified_detached(files[PLAIN], files[DETACHED], trusted)
    except openpgp.BadSignature as error:
        raise PackageError(f"{place} is not signed by a key of {suite.source.keys} ({error})") from None
    signature = archive_signature.of(signed, files[SIGNED if SIGNED in files else DETACHED])
    return SignedRelease(releases.parse(signed.text), signature)


def _check_name(suite: Suite, release: Release, base: str) -> None:
    """Raises PackageError if a Release file is that of another suite."""
    if suite.name not in release.names:
        names = " or ".join(release.names) or "nameless"
        raise PackageError(f"{base} is the suite {names}, not {suite.name}: name it so in sources.yml")


def _usable(opened: OpenSuite) -> OpenSuite:
    """Warns if the Release file has expired; PackageError if the setting refuses that."""
    suite, release, *_ = opened
    until, now = release.valid_until, datetime.datetime.now(datetime.UTC)
    if until is None or until >= now or suite.source.day:
        return opened
    message = f"{suite}: expired at {until:%Y-%m-%dT%H:%M:%SZ} (Valid-Until)"
    if _refuses_expired():
        raise PackageError(f"{message}; {EXPIRED}=refuse is set")
    say(f"warning: {message}; {EXPIRED}=refuse would refuse it", error=True)
    return opened


def _refuses_expired(environ: Mapping[str, str] = os.environ, folder: Path = Path()) -> bool:
    value = environ.get(EXPIRED) or settings.project_settings(folder).get("expired", "warn")
    if value not in ("refuse", "warn"):
        raise BadInput(f"{EXPIRED}: {str(value)[:40]!r} is neither refuse nor warn")
    return bool(value == "refuse")


# what is kept


def _known(suite: Suite) -> SignedRelease | None:
    """Returns the Release file that is kept; None if there is none that is signed by the keys of today."""
    files = {}
    for name in (SIGNED, PLAIN, DETACHED):
        try:
            files[name] = (suite.folder / name).read_bytes()
        except FileNotFoundError:
            continue
    if SIGNED not in files and len(files) < 2:
        return None
    try:
        return _verified(suite, files, str(suite.folder))
    except PackageError as error:
        log.info("not used: %s", error)
        return None


def _condition(suite: Suite, base: str) -> dict[str, str]:
    """Returns the headers that make a request at `base` conditional; {} if what is kept came from elsewhere."""
    try:
        document: Any = json.loads((suite.folder / CONDITION).read_bytes())
        return dict(document["headers"]) if document["base"] == base else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _keep(suite: Suite, files: Files, condition: Mapping[str, Any]) -> None:
    suite.folder.mkdir(parents=True, exist_ok=True)
    for name in {SIGNED, PLAIN, DETACHED, CONDITION} - files.keys():
        (suite.folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        atomic.write(suite.folder / name, data)
    atomic.write(suite.folder / CONDITION, json.dumps(condition))


def _shell(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
