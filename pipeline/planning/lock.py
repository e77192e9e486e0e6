"""Lock: the meaning of every name of a spec when it was last resolved.

`specs/NAME.lock` is sorted JSON with a value a line, for version control:

    images    reference -> index digest, and for each architecture the manifest, config, layers and the image's settings
              (`facts`: for people; a build reads the manifest); signatures, where a rule needs them (signatures.py);
              bills of materials, where build.sbom asks for them (bills.py)
    packages  recipe -> for each architecture the request, the packages that it was resolved to, and of every suite that
              was looked into its date, who signed it, and the digests of what was signed
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, tracked
from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest, is_digest
from pipeline.model.errors import NodekilnError

VERSION = 1
ANY = None
"""Stands for every key of an object in SHAPE."""
_SIGNATURES = [{"rule": str, "signer": str, "kind": str, "time": str, "subject": Digest, "evidence": Digest}]
_BILLS = [{"subject": Digest, "digest": Digest, "mediaType": str}]
_IMAGE = {"manifest": Digest, "config": dict, "layers": [{"size": int, "digest": Digest}]}
_RECIPE = {"request": str, "packages": [{"name": str, "version": str}]}
_ARCHIVES = {
    ANY: {
        "signers": [{"fingerprint": str, "user": str}],
        "release": Digest,
        "evidence": Digest,
        "indexes": {ANY: Digest},
    }
}
SHAPE = {"images": {ANY: {"platforms": {ANY: _IMAGE}}}, "packages": {ANY: {ANY: _RECIPE}}}
"""The parts of a lock that builds read."""
KINDS = {dict: "an object", list: "a list", str: "a string", int: "a number", Digest: "a digest"}
"""Type -> its name in JSON, with an article."""

_RELEASE = re.compile(r"-(?:security|updates|backports|backports-sloppy|proposed-updates)$")
"""Suffixes of Debian's suites of one release, behind its codename."""

TIME = "%Y-%m-%dT%H:%M:%SZ"
"""Form of a time, in UTC."""

writing = threading.Lock()
"""Taken while a lock is written, and by a thread that replaces this process, so that no half-written file stays."""


class LockError(NodekilnError):
    """A lock that cannot be read, or a name that may not be resolved now."""


class LockRequest(NamedTuple):
    """A name for a lock to resolve: an image's reference, or the packages of a recipe.

    folder: the recipe's folder, "" for an image. request: JSON, what the packages depend on: a part of the recipe, and
    the sources of `release`.
    """

    name: str
    arch: str
    folder: str = ""
    request: str = ""
    release: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.arch})"


class Lock(NamedTuple):
    """The two tables of a lock, as its file has them."""

    images: Mapping[str, Any] = {}
    packages: Mapping[str, Any] = {}

    def get(self, name: LockRequest) -> Any:
        """The meaning of `name`: an image's `manifest`, `config`, `layers`, `facts`, or packages; None if unlocked.

        Packages have the dates of their indexes.
        """
        if not name.folder:
            return self.images.get(name.name, {}).get("platforms", {}).get(name.arch)
        entry = self.packages.get(name.name, {}).get(name.arch)
        return _dated(entry) if entry and _is_same(entry["request"], name.request) else None

    def signatures(self, reference: str) -> list[Mapping[str, Any]]:
        """The records of the signatures of an image (pipeline.planning.signatures)."""
        return list(self.images.get(reference, {}).get("signatures", ()))

    def bills(self, reference: str) -> list[Mapping[str, Any]] | None:
        """The records of the bills of materials of an image (pipeline.planning.bills); None if nobody looked."""
        records: list[Mapping[str, Any]] | None = self.images.get(reference, {}).get("bills")
        return records

    def archives(self, recipe: str, arch: str) -> Mapping[str, Any]:
        """The suites that a recipe's packages were chosen from, and who signed them; {} in locks without that."""
        found: Mapping[str, Any] = self.packages.get(recipe, {}).get(arch, {}).get("archives", {})
        return found

    def with_signatures(self, reference: str, records: Sequence[Mapping[str, Any]]) -> Lock:
        """This lock with `records` as the signatures of an image."""
        return self._with(reference, "signatures", records or None)

    def with_bills(self, reference: str, records: Sequence[Mapping[str, Any]] | None) -> Lock:
        """This lock with `records` as the bills of materials of an image; None: as if nobody had looked."""
        return self._with(reference, "bills", records)

    def _with(self, reference: str, name: str, records: Sequence[Mapping[str, Any]] | None) -> Lock:
        image = {key: value for key, value in self.images[reference].items() if key != name}
        return self._replace(images={**self.images, reference: image | ({} if records is None else {name: records})})

    def updated(self, meanings: Iterable[tuple[LockRequest, Any]]) -> Lock:
        """This lock with the new meanings of names."""
        images = json.loads(json.dumps(self.images))
        packages = json.loads(json.dumps(self.packages))
        for name, meaning in meanings:
            if name.folder:
                suites = {"dates": dict(meaning.dates), "archives": dict(meaning.archives)}
                entry = {"request": name.request, "packages": meaning.packages, **suites}
                packages.setdefault(name.name, {})[name.arch] = entry
            else:
                entry = images.setdefault(name.name, {"platforms": {}})
                if entry.get("index") != meaning.get("index"):
                    entry["platforms"] = {}
                entry["index"] = meaning.get("index")
                entry["platforms"] |= meaning["platforms"]
        return Lock(images, packages)

    def only(self, names: Iterable[LockRequest]) -> Lock:
        """This lock with `names` alone."""
        kept = {each.name for each in names}
        tables = ({name: table[name] for name in table if name in kept} for table in self)
        return Lock(*tables)


def _is_same(request: str, other: str) -> bool:
    """Returns whether two requests are equal; one without sources, as in older locks, is by any."""
    if request == other:
        return True
    (rest, sources), (other_rest, other_sources) = map(_split, (request, other))
    return rest == other_rest and None in (sources, other_sources)


def _split(unsafe_request: str) -> tuple[Any, Any]:
    """Returns a request without its sources, and its sources; None for those of a request that does not record them."""
    try:
        document = json.loads(unsafe_request)
    except (ValueError, RecursionError):
        return unsafe_request, None
    if not isinstance(document, dict):
        return document, None
    return {key: value for key, value in document.items() if key != "sources"}, document.get("sources")


def _dated(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the packages of an entry, with the date of the index that each was chosen from."""
    unsafe_dates = entry.get("dates")
    if not isinstance(unsafe_dates, dict):
        return list(entry["packages"])
    dates = ((each, unsafe_dates.get(f"{each.get('archive')} {each.get('suite')}")) for each in entry["packages"])
    return [{**package, "date": date} if date else package for package, date in dates]


def read(path: Path) -> Lock:
    """The lock at `path`; an empty one if there is none. LockError if it is not a lock."""
    try:
        document = json.loads(tracked.contents(path))
    except FileNotFoundError:
        return Lock()
    except (ValueError, RecursionError) as error:
        raise LockError(f"{path}: not a lock ({error}): {_remedy()}") from None
    if not isinstance(document, dict) or type(version := document.get("version")) is not int:
        raise LockError(f"{path}: not a lock: {_remedy()}")
    if version < VERSION:
        raise LockError(f"{path}: version {version}, from an older nodekiln: delete it and run {user_command('lock')}")
    if version > VERSION:
        raise LockError(f"{path}: version {version}, and this nodekiln reads {VERSION}: update nodekiln")
    wrong = (_differences(document, SHAPE, ""), _wrong_signatures(document), _wrong_archives(document))
    for difference in itertools.chain(*wrong):
        raise LockError(f"{path}: not as {user_command('lock')} writes it ({difference}): {_remedy()}")
    return Lock(document["images"], document["packages"])


def _remedy() -> str:
    return f"restore it, or delete it and run {user_command('lock')}"


def _differences(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Yields the differences of `value` from `shape`: a type, a list of one shape, or an object by its keys."""
    wanted: type = shape if isinstance(shape, type) else type(shape)
    fits = is_digest(value) if shape is Digest else isinstance(value, wanted)
    if not fits:
        yield f"{where or 'the whole'} is not {KINDS[wanted]}"
    elif isinstance(shape, list):
        for number, each in enumerate(value):
            yield from _differences(each, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        for key, inner in shape.items():
            for name in value if key is ANY else (key,):
                yield from _differences(value.get(name), inner, f"{where}[{name!a}]")


def _wrong_signatures(document: Mapping[str, Any]) -> Iterator[str]:
    """Yields the differences of the records of signatures and bills of materials from their shape."""
    for reference, image in document["images"].items():
        where = f"['images'][{reference!a}]['signatures']"
        yield from _differences(image.get("signatures", []), _SIGNATURES, where)
        yield from _differences(image.get("bills", []), _BILLS, f"['images'][{reference!a}]['bills']")
        for number, record in enumerate(image.get("signatures", [])):
            try:
                seconds(record["time"])
            except ValueError:
                yield f"{where}[{number}]['time'] is not a time, YYYY-MM-DDTHH:MM:SSZ"


def _wrong_archives(document: Mapping[str, Any]) -> Iterator[str]:
    """Yields the differences of the records of archives from their shape."""
    for recipe, entries in document["packages"].items():
        for arch, entry in entries.items():
            where = f"['packages'][{recipe!a}][{arch!a}]['archives']"
            yield from _differences(entry.get("archives", {}), _ARCHIVES, where)


def seconds(text: str) -> int:
    """Returns a time of a lock in seconds since 1970 UTC. ValueError."""
    return int(datetime.strptime(text, TIME).replace(tzinfo=UTC).timestamp())


def write(path: Path, lock: Lock) -> None:
    """Writes `lock` to `path` atomically. An equal file is not touched."""
    document = {"version": VERSION, "images": lock.images, "packages": lock.packages}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text() == text:
        return
    with writing:
        atomic.write(path, text)


def downgrades(before: Lock, now: Lock) -> list[str]:
    """A line for each package with an older version in `now` than in `before`.

    A recipe whose sources the project changed, as from one release to another, may have older ones.
    """
    from pipeline.packages.version import is_older

    lines = []
    for name, arch, entry in _entries(now):
        known = before.packages.get(name, {}).get(arch)
        if not known or _split(known["request"])[1] not in (None, _split(entry["request"])[1]):
            continue
        old = {each["name"]: each["version"] for each in known["packages"]}
        for package in entry["packages"]:
            was, version = old.get(package["name"], ""), package["version"]
            if was and is_older(version, was):
                lines.append(f"{name} ({arch}): {package['name']} {was} -> {version}")
    return lines


def release_warning(lock: Lock) -> str:
    """A warning that names the releases of recipes if there are several; "" if there is one.

    A package without a suite counts as of any release.
    """
    releases: dict[str, list[str]] = {}
    for name, _, entry in _entries(lock):
        for release in sorted({_RELEASE.split(str(each.get("suite", "")))[0] for each in entry["packages"]} - {""}):
            releases.setdefault(release, []).append(name)
    if len(releases) < 2:
        return ""
    listed = "; ".join(f"{release}: {', '.join(dict.fromkeys(names))}" for release, names in sorted(releases.items()))
    return f"packages of several releases, whose libraries may not fit together: {listed}"


def _entries(lock: Lock) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields recipe, architecture and entry of all locked packages."""
    for name, entries in sorted(lock.packages.items()):
        for arch, entry in sorted(entries.items()):
            yield name, arch, entry


def update_lease(name: str) -> str:
    """The name of the store's lock for an update of specs/`name`.lock, from reading to writing."""
    return f"resolve-{name}"


def resolve(names: Iterable[LockRequest]) -> list[tuple[LockRequest, Any]]:
    """Asks registries and package mirrors for the present meaning of names; that of recipes is Resolved.

    LockError, with the names, if NODEKILN_LOCKED=1 forbids it.
    """
    names = list(names)
    if os.environ.get("NODEKILN_LOCKED") == "1" and names:
        listed = ", ".join(str(name) for name in names[:5])
        raise LockError(f"not locked: {listed} (NODEKILN_LOCKED=1 is set: run {user_command('lock')} without it)")
    from concurrent.futures import ThreadPoolExecutor

    from pipeline.oci import resolve as registries
    from pipeline.packages import request

    recipes = [name for name in names if name.folder]
    with ThreadPoolExecutor(max_workers=8) as pool:
        images = [(name, pool.submit(registries.resolve, name.name, [name.arch])) for name in names if not name.folder]
        packages = request.resolve_all(recipes)
        return [*((name, future.result().document()) for name, future in images), *packages]
