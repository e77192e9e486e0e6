"""Copies of a project for runs: its sources, and a store with nothing but the blobs that the lock names."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.host import atomic
from pipeline.inspect.conditions import NOBODY, Conditions
from pipeline.model.digest import Digest, InvalidDigest
from pipeline.project.project import CACHE, RESULTS, Project
from pipeline.readers.view import HostFile, sha256


def locked_blobs(lock: Path) -> set[Digest]:
    """All digests in the lock: of manifests, configs, layers, packages. Empty if there is no file `lock`."""
    blobs = set()
    for unsafe_digest in _digests(json.loads(lock.read_text())) if lock.exists() else ():
        with contextlib.suppress(InvalidDigest):  # the build reports it
            blobs.add(Digest.parse(unsafe_digest))
    return blobs


def _digests(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "sha256" and isinstance(value, str):
                yield f"sha256:{value}"
            else:
                yield from _digests(value)
    elif isinstance(document, list):
        for value in document:
            yield from _digests(value)
    elif isinstance(document, str) and document.startswith(("sha256:", "sha512:")):
        yield document


def intact(project: Project, digests: Iterable[Digest]) -> list[Digest]:
    """The blobs that the project's store has undamaged, sorted; a run fetches the others again."""
    return [
        digest
        for digest in sorted(digests)
        if digest.algorithm == "sha256"
        and (path := project.store.path(digest)).exists()
        and sha256(HostFile(path)) == digest.hex
    ]


def adopt_fetched(project: Project, copy: Path, digests: Iterable[Digest]) -> None:
    """Moves the blobs that a run fetched into the project's store, after hashing each: no other run fetches them."""
    for digest in digests:
        source = copy / CACHE / "blobs" / digest.algorithm / digest.hex
        if digest.algorithm == "sha256" and source.exists() and not project.store.has(digest):
            scratch = project.store.scratch()
            with open(source, "rb") as data, atomic.create(scratch) as file:
                shutil.copyfileobj(data, file)
            if sha256(HostFile(scratch)) == digest.hex:
                project.store.adopt(scratch, digest)
            else:
                scratch.unlink()


def prepare(project: Project, copy: Path, conditions: Conditions, blobs: Iterable[Digest]) -> None:
    """Copies the project's sources into the new folder `copy`, with a store that has `blobs`."""

    def skipped(folder: str, names: list[str]) -> list[str]:
        own = (RESULTS, CACHE) if Path(folder) == project.root else ()
        hidden = [name for name in names if name[0] == "." and Path(folder, name).is_dir()]
        return [*hidden, "__pycache__", *own]

    shutil.copytree(project.root, copy, symlinks=True, ignore=skipped)
    store = copy / CACHE / "blobs"
    for digest in blobs:
        target = store / digest.algorithm / digest.hex
        target.parent.mkdir(parents=True, exist_ok=True)
        _share(project.store.path(digest), target, conditions.hard_links and not conditions.other_user)


def set_owner_and_time(copy: Path, conditions: Conditions) -> None:
    """Sets owner and time stamps of the finished copy; blobs, which may be links, keep their time stamps."""
    blobs = str(copy / CACHE / "blobs")
    for folder, _, names in os.walk(copy):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            if conditions.other_user and os.getuid() == 0:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            if conditions.now is not None and not path.startswith(blobs):
                os.utime(path, (conditions.now, conditions.now), follow_symlinks=False)


def _share(source: Path, target: Path, link: bool) -> None:
    try:
        if link:
            os.link(source, target)
            return
    except OSError:  # another file system, or links to others' files are forbidden
        pass
    shutil.copyfile(source, target)
    os.chmod(target, os.stat(target).st_mode & 0o444)
