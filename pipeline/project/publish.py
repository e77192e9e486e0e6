"""Publish: results leave the store and become files in build/NAME, with SHA256SUMS and manifest.json beside them.

manifest.json is the record of a build: what went in (digests of the spec and its lock), the key and the result of
every stage, and digest and size of every file. It says nothing of time, host or user: equal builds, equal records.

Written files are noted (pipeline.project.written), so that the next build sees later changes to them; a record that
somebody wrote into is not believed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.engine.action import Action, closure
from pipeline.host import atomic
from pipeline.host.stamp import Stamp, settle_mtime, stamp
from pipeline.model.digest import Digest
from pipeline.model.tree import File
from pipeline.planning.plan import Plan
from pipeline.project import written
from pipeline.project.project import Project
from pipeline.project.written import MANIFEST, SUMS, Noted, Written
from pipeline.store import Store

__all__ = ["MANIFEST", "SUMS", "entry_of", "publish", "record", "unpublish", "unpublish_all"]

PAGES = ("size.html", "graph.html")
"""What commands write beside the results."""
Published = dict[str, tuple[dict[str, Any], Stamp]]
"""A file's name -> what a record says of it (`sha256`, `size`), and its mark as it was written."""


def publish(project: Project, made: Plan, name: str, action: Action, folder: Path) -> list[str]:
    """Write the format `name` (what `action` gives) into `folder` and record it there; returns the files.

    OverBudget if something is larger than the spec allows.
    """
    project.make(folder)
    before = _known(written.read(folder)).get(name)
    if made.spec.build.budget:
        from pipeline.project import budget

        budget.check(project.store, made, name, action, before)
    files = action.use(project.store, lambda result: _export(project, made, result, folder))
    with project.store.lock(f"publish-{made.spec.name}"), written.noting:
        _record(project, made, name, action, folder, files)
    return [str(folder / file) for file in sorted(files)]


def unpublish(folder: Path, name: str, targets: Iterable[str] = ()) -> list[Path]:
    """Remove the files of the format `name` from `folder`, which is relative to the project; returns what was removed.

    targets: names of files that it gives, for where it is not known what was written. Files that another format has too
    stay. With the last format go the records and pages.
    """
    with written.noting:
        before = written.read(folder)
        formats = {form: entry for form, entry in before.formats.items() if form != name}
        own = {*before.formats.get(name, {"files": ()})["files"], *targets}
        files = own - {file for entry in formats.values() for file in entry["files"]}
        if not formats:
            before.forget()
            return _removed(folder, {*files, *written.BESIDE, *PAGES})
        noted = {file: before.files[file] for entry in formats.values() for file in entry["files"]}
        Written(folder, formats, {**noted, **_without(before, name)}).write()
        return _removed(folder, files)


def unpublish_all(folder: Path) -> list[Path]:
    """Remove the results of every format from `folder`, and from the folders of architectures in it."""
    found = []
    for place in (*folder.glob("*/"), folder):
        for name in written.read(place).formats:
            found += unpublish(place, name)
        if place == folder or (place / MANIFEST).exists():
            found += _removed(place, {*written.BESIDE, *PAGES})
        with contextlib.suppress(OSError):  # there is something else in it
            place.rmdir()
    return found


def _without(before: Written, name: str) -> dict[str, Noted]:
    """Write the records that belong to all formats without the format `name`; remove them if they were changed."""
    data = before.whole(MANIFEST)
    if not data:
        _removed(before.folder, written.BESIDE)
        return {}
    document = json.loads(data)
    document["formats"].pop(name, None)
    return {
        MANIFEST: _replace(before.folder / MANIFEST, _text(document)),
        SUMS: _replace(before.folder / SUMS, _sums(document["formats"])),
    }


def _removed(folder: Path, names: Iterable[str]) -> list[Path]:
    """Remove files of `folder`; which of them there were."""
    found = [path for path in (folder / name for name in sorted(names)) if path.is_file() or path.is_symlink()]
    for path in found:
        path.unlink()
    return found


def _export(project: Project, made: Plan, result: Digest, folder: Path) -> Published:
    files: Published = {}
    for suffix, entry in project.store.tree(result).items():
        assert type(entry) is File
        target = folder / f"{made.spec.name}{suffix}"
        digest = project.store.export(entry.content, target)
        files[target.name] = {"sha256": digest.hex, "size": entry.size}, stamp(os.stat(target))
    return files


def _known(before: Written) -> dict[str, Any]:
    """The formats in the record of earlier builds; none if there is no record, or it is not what was written."""
    data = before.whole(MANIFEST)
    formats: dict[str, Any] = json.loads(data)["formats"] if data else {}
    return formats


def _record(project: Project, made: Plan, name: str, action: Action, folder: Path, files: Published) -> None:
    before = written.read(folder)
    formats = {
        form: entry
        for form, entry in _known(before).items()
        if all(_stands(folder / file, facts["sha256"], files) for file, facts in entry["files"].items())
    }
    formats[name] = entry_of(project.store, action, {file: facts for file, (facts, _) in files.items()})
    beside = {
        MANIFEST: _replace(folder / MANIFEST, record(project, made, formats)),
        SUMS: _replace(folder / SUMS, _sums(formats)),
    }
    own = {file: (facts["sha256"], found) for file, (facts, found) in files.items()}
    before.after(name, action.key, own, beside).write()


def _stands(path: Path, digest: str, files: Published) -> bool:
    """Whether the file of another format is there, and is none of `files` with other bytes."""
    return path.exists() and (path.name not in files or files[path.name][0]["sha256"] == digest)


def _sums(formats: Mapping[str, Any]) -> str:
    """The text of SHA256SUMS. formats: name -> `entry_of`."""
    sums = {file: facts["sha256"] for entry in formats.values() for file, facts in entry["files"].items()}
    return "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items()))


def entry_of(store: Store, action: Action, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a record says of the format that `action` made. files: name -> {"sha256": hexadecimal, "size": bytes}."""
    return {"key": action.key, "files": files, "stages": {each.name: _stage(store, each) for each in closure(action)}}


def record(project: Project, made: Plan, formats: Mapping[str, Any]) -> str:
    """The text of manifest.json. formats: name -> `entry_of`."""
    lock = project.root / project.lock_path(made.spec.name)
    document = {
        "nodekiln": __version__,
        "arch": made.arch,
        "spec": {str(file): Digest.of(file.read_bytes()) for file in made.spec.files},
        "lock": Digest.of(lock.read_bytes()) if lock.exists() else None,
        "formats": formats,
    }
    return _text(document)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _stage(store: Store, action: Action) -> dict[str, Any]:
    known = store.record(action.key)
    return {"key": action.key, "version": action.version, "result": known and known.result}


def _replace(path: Path, text: str) -> tuple[str, Stamp]:
    """Write `text` to `path`; its sha256 in hexadecimal, and the mark of the file."""
    atomic.write(path, text)
    settle_mtime(path)
    return Digest.of(text.encode()).hex, stamp(os.stat(path))
