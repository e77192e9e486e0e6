"""Lock: what every name of a spec meant, when somebody last asked. The only module that asks "what is latest?".

`specs/NAME.lock` is JSON, sorted, one fact a line, and belongs into version control:

    images    reference -> index digest, and for each architecture the manifest, config, layers and
              how the image says that it is run (`facts`: for people; what a build does follows from the manifest)
    packages  recipe -> for each architecture what was asked for, and the packages that it came to
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, tracked
from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest, is_digest
from pipeline.model.errors import NodekilnError

VERSION = 1
ANY = None
"""Stands for every key of an object in SHAPE."""
_IMAGE = {"manifest": Digest, "config": dict, "layers": [{"size": int, "digest": Digest}]}
_RECIPE = {"request": str, "packages": [{"name": str, "version": str}]}
SHAPE = {"images": {ANY: {"platforms": {ANY: _IMAGE}}}, "packages": {ANY: {ANY: _RECIPE}}}
"""The parts of a lock that are relied on."""
KINDS = {dict: "object", list: "list", str: "text", int: "number", Digest: "digest"}
"""Types by the names that JSON has for them."""

_RELEASE = re.compile(r"-(?:security|updates|backports|backports-sloppy|proposed-updates)$")
"""What Debian's suites of one release add to its codename."""

writing = threading.Lock()
"""Held while a lock is written, and by a thread that replaces this process: no half-written file stays behind."""


class LockError(NodekilnError):
    """A lock that cannot be read, or a name that may not be resolved now."""


class LockRequest(NamedTuple):
    """A name that a lock has to explain: an image's reference, or the packages of a recipe.

    folder: the recipe's folder, "" for an image. request: what of the recipe decides the packages.
    """

    name: str
    arch: str
    folder: str = ""
    request: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.arch})"


class Lock(NamedTuple):
    images: Mapping[str, Any] = {}
    packages: Mapping[str, Any] = {}

    def get(self, wanted: LockRequest) -> Any:
        """What is locked (image: `manifest`, `config`, `layers`, `facts`; recipe: its packages), None if nothing is."""
        if not wanted.folder:
            return self.images.get(wanted.name, {}).get("platforms", {}).get(wanted.arch)
        entry = self.packages.get(wanted.name, {}).get(wanted.arch)
        return entry["packages"] if entry and entry["request"] == wanted.request else None

    def updated(self, facts: Iterable[tuple[LockRequest, Any]]) -> Lock:
        """This lock with `facts` in place of what it said before."""
        images = json.loads(json.dumps(self.images))
        packages = json.loads(json.dumps(self.packages))
        for wanted, fact in facts:
            if wanted.folder:
                entry = {"request": wanted.request, "packages": fact}
                packages.setdefault(wanted.name, {})[wanted.arch] = entry
            else:
                entry = images.setdefault(wanted.name, {"platforms": {}})
                if entry.get("index") != fact.get("index"):
                    entry["platforms"] = {}
                entry["index"] = fact.get("index")
                entry["platforms"] |= fact["platforms"]
        return Lock(images, packages)

    def only(self, wanted: Iterable[LockRequest]) -> Lock:
        """This lock without what no name of `wanted` asks for."""
        names = {each.name for each in wanted}
        return Lock(
            {name: fact for name, fact in self.images.items() if name in names},
            {name: fact for name, fact in self.packages.items() if name in names},
        )


def read(path: Path) -> Lock:
    """The lock at `path`; an empty one if there is none. LockError if it is not a lock."""
    try:
        document = json.loads(tracked.contents(path))
    except FileNotFoundError:
        return Lock()
    except (ValueError, RecursionError) as error:
        raise LockError(f"{path}: not a lock ({error}): {_mended()}") from None
    if not isinstance(document, dict) or type(version := document.get("version")) is not int:
        raise LockError(f"{path}: not a lock: {_mended()}")
    if version < VERSION:
        raise LockError(f"{path}: version {version}, from an older nodekiln: delete it and run {user_command('lock')}")
    if version > VERSION:
        raise LockError(f"{path}: version {version}, and this nodekiln reads {VERSION}: update nodekiln")
    for complaint in _unlike(document, SHAPE, ""):
        raise LockError(f"{path}: not as {user_command('lock')} writes it ({complaint}): {_mended()}")
    return Lock(document["images"], document["packages"])


def _mended() -> str:
    return f"restore it, or delete it and run {user_command('lock')}"


def _unlike(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Where `value` is not of `shape`: a type, a list of one shape, or an object by its keys (ANY: whichever)."""
    wanted: type = shape if isinstance(shape, type) else type(shape)
    fits = is_digest(value) if shape is Digest else isinstance(value, wanted)
    if not fits:
        yield f"{where or 'the whole'} is no {KINDS[wanted]}"
    elif isinstance(shape, list):
        for number, each in enumerate(value):
            yield from _unlike(each, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        for key, inner in shape.items():
            for name in value if key is ANY else (key,):
                yield from _unlike(value.get(name), inner, f"{where}[{name!a}]")


def write(path: Path, lock: Lock) -> None:
    """Write `lock` to `path`, beside it first; nothing is touched if it says the same already."""
    document = {"version": VERSION, "images": lock.images, "packages": lock.packages}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text() == text:
        return
    with writing:
        atomic.write(path, text)


def went_back(before: Lock, now: Lock) -> list[str]:
    """The packages that are of an older version in `now` than in `before`, a line each."""
    from pipeline.recipe.version import is_older

    found = []
    for name, arch, entry in _entries(now):
        known = before.packages.get(name, {}).get(arch, {"packages": ()})["packages"]
        old = {each["name"]: each["version"] for each in known}
        for package in entry["packages"]:
            was, version = old.get(package["name"], ""), package["version"]
            if was and is_older(version, was):
                found.append(f"{name} ({arch}): {package['name']} {was} -> {version}")
    return found


def mixed(lock: Lock) -> str:
    """A warning where the recipes of a lock are of several releases: which is of which; "" where they are of one.

    What a lock does not say the suite of counts as of any.
    """
    releases: dict[str, list[str]] = {}
    for name, _, entry in _entries(lock):
        for release in sorted({_RELEASE.split(str(each.get("suite", "")))[0] for each in entry["packages"]} - {""}):
            releases.setdefault(release, []).append(name)
    if len(releases) < 2:
        return ""
    told = "; ".join(f"{release}: {', '.join(dict.fromkeys(names))}" for release, names in sorted(releases.items()))
    return f"packages of several releases, whose libraries may not fit together: {told}"


def _entries(lock: Lock) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Recipe, architecture and entry of all packages that are locked."""
    for name, entries in sorted(lock.packages.items()):
        for arch, entry in sorted(entries.items()):
            yield name, arch, entry


def changing(name: str) -> str:
    """The store's lock that is held from reading specs/`name`.lock until the changed one is written."""
    return f"resolve-{name}"


def resolve(wanted: Iterable[LockRequest]) -> list[tuple[LockRequest, Any]]:
    """Ask registries and package mirrors what `wanted` means now.

    NODEKILN_LOCKED=1 forbids it: LockError then, with the names.
    """
    wanted = list(wanted)
    if os.environ.get("NODEKILN_LOCKED") == "1" and wanted:
        names = ", ".join(str(each) for each in wanted[:5])
        raise LockError(f"not locked: {names} (NODEKILN_LOCKED=1 is set: run {user_command('lock')} without it)")
    from concurrent.futures import ThreadPoolExecutor

    from pipeline.oci import resolve as registries
    from pipeline.recipe import apt, debian

    images = [each for each in wanted if not each.folder]
    recipes = [each for each in wanted if each.folder]
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = [(each, pool.submit(registries.resolve, each.name, [each.arch])) for each in images]
        packages = debian.resolve_all(recipes, apt.state_folder()) if recipes else []
        return [*((each, future.result().document()) for each, future in found), *packages]
