"""Copies: what a run starts with: the project's sources, and a store that has what the lock names, nothing else."""

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


def blobs(lock: Path) -> set[Digest]:
    """Every digest that the lock at `lock` names: manifests, configs, layers, packages. Empty if there is none."""
    found = set()
    for unsafe_digest in _named(json.loads(lock.read_text())) if lock.exists() else ():
        with contextlib.suppress(InvalidDigest):  # the build says what is wrong with it
            found.add(Digest.parse(unsafe_digest))
    return found


def _named(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "sha256" and isinstance(value, str):
                yield f"sha256:{value}"
            else:
                yield from _named(value)
    elif isinstance(document, list):
        for value in document:
            yield from _named(value)
    elif isinstance(document, str) and document.startswith(("sha256:", "sha512:")):
        yield document


def whole(project: Project, wanted: Iterable[Digest]) -> list[Digest]:
    """Those of `wanted` that the project's store has undamaged; a run fetches the others anew."""
    return [
        digest
        for digest in sorted(wanted)
        if digest.algorithm == "sha256"
        and (path := project.store.path(digest)).exists()
        and sha256(HostFile(path)) == digest.hex
    ]


def bring_home(project: Project, copy: Path, wanted: Iterable[Digest]) -> None:
    """Take what a run fetched of `wanted` into the project's store, each blob hashed: no other run fetches it again."""
    for digest in wanted:
        source = copy / CACHE / "blobs" / digest.algorithm / digest.hex
        if digest.algorithm == "sha256" and source.exists() and not project.store.has(digest):
            taken = project.store.scratch()
            with open(source, "rb") as data, atomic.create(taken) as file:
                shutil.copyfileobj(data, file)
            if sha256(HostFile(taken)) == digest.hex:
                project.store.adopt(taken, digest)
            else:
                taken.unlink()


def prepare(project: Project, copy: Path, wanted: Conditions, taken: Iterable[Digest]) -> None:
    """Put a copy of the project's sources into the new folder `copy`, with a store that holds the blobs `taken`."""

    def skipped(folder: str, names: list[str]) -> list[str]:
        own = (RESULTS, CACHE) if Path(folder) == project.root else ()
        hidden = [name for name in names if name[0] == "." and Path(folder, name).is_dir()]
        return [*hidden, "__pycache__", *own]

    shutil.copytree(project.root, copy, symlinks=True, ignore=skipped)
    store = copy / CACHE / "blobs"
    for digest in taken:
        target = store / digest.algorithm / digest.hex
        target.parent.mkdir(parents=True, exist_ok=True)
        _share(project.store.path(digest), target, wanted.hard_links and not wanted.other_user)


def hand_over(copy: Path, wanted: Conditions) -> None:
    """Give the finished copy the owner and the time stamps that `wanted` asks for. Blobs keep their time stamps: they
    may be the project's own, by another name.
    """
    blobs = str(copy / CACHE / "blobs")
    for folder, _, names in os.walk(copy):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            if wanted.other_user and os.getuid() == 0:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            if wanted.now is not None and not path.startswith(blobs):
                os.utime(path, (wanted.now, wanted.now), follow_symlinks=False)


def _share(source: Path, target: Path, link: bool) -> None:
    try:
        if link:
            os.link(source, target)
            return
    except OSError:  # another file system, or links to others' files are forbidden: a copy does
        pass
    shutil.copyfile(source, target)
    os.chmod(target, os.stat(target).st_mode & 0o444)
