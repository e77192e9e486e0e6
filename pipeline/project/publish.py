"""Publishes results: files in build/NAME, with SHA256SUMS, manifest.json and provenance.json beside them.

manifest.json is the record of a build: its inputs (digests of the spec and its lock), the key and the result of every
stage, and digest and size of every file. It has no time, host or user: equal builds, equal records.

The state of written files is kept (pipeline.project.results_state), so that the next build sees later changes to them;
a record that was changed is not used.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.engine.action import Action, closure
from pipeline.host import atomic
from pipeline.host.stamp import Stamp, settle_mtime, stamp
from pipeline.model.digest import Digest
from pipeline.planning import lock as locks
from pipeline.planning.plan import Plan
from pipeline.project import provenance, results_state, signing
from pipeline.project.project import Project
from pipeline.project.results_state import MANIFEST, PROVENANCE, SHARED, SUMS, FileState, ResultsState
from pipeline.store import Store

__all__ = [
    "MANIFEST",
    "SUMS",
    "dependencies",
    "format_record",
    "manifest",
    "manifest_text",
    "publish",
    "unpublish",
    "unpublish_all",
]

PAGES = ("size.html", "graph.html")
"""Files that commands write beside the results."""
ExportedFiles = dict[str, tuple[dict[str, Any], Stamp]]
"""A file's name -> its entry in manifest.json (`sha256`, `size`), and its stamp."""


def publish(project: Project, plan: Plan, name: str, action: Action, folder: Path) -> list[str]:
    """Writes the format `name`, the result of `action`, into `folder` and records it there; returns the files' paths.

    OverBudget if something is larger than the spec allows.
    """
    project.make(folder)
    before = _recorded_formats(results_state.read(folder)).get(name)
    if plan.spec.build.budget:
        from pipeline.project import budget

        budget.check(project.store, plan, name, action, before)
    files = action.use(project.store, lambda result: _export(project, plan, result, folder), project.execute)
    with project.store.lock(f"publish-{plan.spec.name}"), results_state.lock:
        _record(project, plan, name, action, folder, files)
    return [str(folder / file) for file in sorted(files)]


def unpublish(folder: Path, name: str, targets: Iterable[str] = ()) -> list[Path]:
    """Removes the files of the format `name` from `folder`, which is relative to the project; returns their paths.

    targets: names of the format's files, for when the state of `folder` is unknown. A file that another format has too
    stays. With the last format go the shared files and the pages.
    """
    with results_state.lock:
        before = results_state.read(folder)
        formats = {form: entry for form, entry in before.formats.items() if form != name}
        own = {*before.formats.get(name, {"files": ()})["files"], *targets}
        files = own - {file for entry in formats.values() for file in entry["files"]}
        if not formats:
            before.remove()
            return _remove(folder, {*files, *SHARED, *PAGES})
        states = {file: before.files[file] for entry in formats.values() for file in entry["files"]}
        ResultsState(folder, formats, {**states, **_record_without(before, name)}).write()
        return _remove(folder, files)


def unpublish_all(folder: Path) -> list[Path]:
    """Removes the results of every format from `folder`, and from the folders of architectures in it."""
    removed = []
    for place in (*folder.glob("*/"), folder):
        for name in results_state.read(place).formats:
            removed += unpublish(place, name)
        if place == folder or (place / MANIFEST).exists():
            removed += _remove(place, {*SHARED, *PAGES})
        with contextlib.suppress(OSError):  # there is something else in it
            place.rmdir()
    return removed


def _record_without(before: ResultsState, name: str) -> dict[str, FileState]:
    """Writes the shared files without the format `name`; removes them if they were changed."""
    data, known = before.unchanged(MANIFEST), before.unchanged(PROVENANCE)
    if not data or not known:
        _remove(before.folder, SHARED)
        return {}
    document = json.loads(data)
    document["formats"].pop(name, None)
    return _write_shared(before.folder, document, provenance.dependencies_of(known))


def _remove(folder: Path, names: Iterable[str]) -> list[Path]:
    """Removes files of `folder`; returns the paths of those that were there."""
    paths = [path for path in (folder / name for name in sorted(names)) if path.is_file() or path.is_symlink()]
    for path in paths:
        path.unlink()
    return paths


def _export(project: Project, plan: Plan, result: Digest, folder: Path) -> ExportedFiles:
    files: ExportedFiles = {}
    outputs = project.store.tree(result).files()
    project.store.gather(file.content for file in outputs.values())
    for suffix, file in outputs.items():
        target = folder / f"{plan.spec.name}{suffix}"
        digest = project.store.export(file.content, target)
        files[target.name] = {"sha256": digest.hex, "size": file.size}, stamp(os.stat(target))
    return files


def _recorded_formats(before: ResultsState) -> dict[str, Any]:
    """The formats in the folder's manifest.json; none if there is none, or it was changed."""
    data = before.unchanged(MANIFEST)
    formats: dict[str, Any] = json.loads(data)["formats"] if data else {}
    return formats


def _record(project: Project, plan: Plan, name: str, action: Action, folder: Path, files: ExportedFiles) -> None:
    before = results_state.read(folder)
    formats = {
        form: entry
        for form, entry in _recorded_formats(before).items()
        if all(_is_intact(folder / file, attributes["sha256"], files) for file, attributes in entry["files"].items())
    }
    own = {file: attributes for file, (attributes, _) in files.items()}
    formats[name] = format_record(project.store, plan, name, action, own)
    shared = _write_shared(folder, manifest(project, plan, formats), dependencies(project, plan))
    states = {file: (attributes["sha256"], state) for file, (attributes, state) in files.items()}
    before.with_format(name, action.key, states, shared).write()


def _is_intact(path: Path, digest: str, files: ExportedFiles) -> bool:
    """Returns True if the file of another format is there, and is none of `files` with other bytes."""
    return path.exists() and (path.name not in files or files[path.name][0]["sha256"] == digest)


def _sums(formats: Mapping[str, Any]) -> str:
    """The text of SHA256SUMS. formats: name -> `format_record`."""
    sums = {file: attributes["sha256"] for entry in formats.values() for file, attributes in entry["files"].items()}
    return "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items()))


def format_record(
    store: Store, plan: Plan, name: str, action: Action, files: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The entry of the format `name`, the result of `action`, in manifest.json.

    files: name -> {"sha256": hexadecimal, "size": bytes}.
    """
    record = {"key": action.key, "files": files, "stages": {each.name: _stage(store, each) for each in closure(action)}}
    programs = signing.records(store, plan, name) if plan.signer else {}
    return record | ({"programs": programs} if programs else {})


def manifest(project: Project, plan: Plan, formats: Mapping[str, Any]) -> dict[str, Any]:
    """The document manifest.json. formats: name -> `format_record`."""
    lock = project.root / plan.spec.path.with_suffix(".lock")
    return {
        "nodekiln": __version__,
        "arch": plan.arch,
        "spec": {str(file): Digest.of(file.read_bytes()) for file in plan.spec.files},
        "lock": Digest.of(lock.read_bytes()) if lock.exists() else None,
        "formats": formats,
    }


def dependencies(project: Project, plan: Plan) -> list[provenance.Dependency]:
    """The inputs that the lock of the plan's spec names, for provenance.json."""
    return provenance.dependencies(locks.read(project.root / plan.spec.path.with_suffix(".lock")), plan.arch)


def manifest_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _stage(store: Store, action: Action) -> dict[str, Any]:
    record = store.record(action.key)
    return {"key": action.key, "version": action.version, "result": record and record.result}


def _write_shared(
    folder: Path, document: Mapping[str, Any], dependencies: Sequence[provenance.Dependency]
) -> dict[str, FileState]:
    """Writes manifest.json (`document`), SHA256SUMS and provenance.json; returns their states."""
    statement = provenance.statement_of(document, dependencies).decode()
    texts = {MANIFEST: manifest_text(document), SUMS: _sums(document["formats"]), PROVENANCE: statement}
    return {name: _write(folder / name, text) for name, text in texts.items()}


def _write(path: Path, text: str) -> FileState:
    atomic.write(path, text)
    settle_mtime(path)
    return Digest.of(text.encode()).hex, stamp(os.stat(path))
