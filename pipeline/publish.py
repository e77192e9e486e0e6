"""Publish: results leave the store and become files in build/NAME, with SHA256SUMS and manifest.json beside them.

manifest.json is the record of a build: what went in (digests of the spec and its lock), the key and the result of
every stage, and digest and size of every file. It says nothing of time, host or user: equal builds, equal records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.action import Action, closure
from pipeline.digest import Digest
from pipeline.plan import Plan
from pipeline.project import Project
from pipeline.store import Store
from pipeline.tree import File

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"


def publish(project: Project, made: Plan, name: str, action: Action, folder: Path) -> list[str]:
    """Write the format `name` (what `action` gives) into `folder` and record it there; returns the files.

    OverBudget if something is larger than the spec allows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _known(folder).get("formats", {}).get(name)
    if made.spec.build.budget:
        from pipeline.sizes import budget

        budget.check(project.store, made, name, action, before)
    files = action.use(project.store, lambda result: _export(project, made, result, folder))
    with project.store.lock(f"publish-{made.spec.name}"):
        _record(project, made, name, action, folder, files)
    return [str(folder / file) for file in sorted(files)]


def _export(project: Project, made: Plan, result: Digest, folder: Path) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for suffix, entry in project.store.tree(result).items():
        assert type(entry) is File
        target = folder / f"{made.spec.name}{suffix}"
        files[target.name] = {"sha256": project.store.export(entry.content, target).hex, "size": entry.size}
    return files


def _known(folder: Path) -> dict[str, Any]:
    """The record of earlier builds, empty if there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _record(project: Project, made: Plan, name: str, action: Action, folder: Path, files: dict[str, Any]) -> None:
    formats = {
        format_name: entry
        for format_name, entry in _known(folder).get("formats", {}).items()
        if all((folder / file).exists() for file in entry["files"])
    }
    formats[name] = entry_of(project.store, action, files)
    _replace(folder / MANIFEST, record(project, made, formats))
    sums = {file: facts["sha256"] for entry in formats.values() for file, facts in entry["files"].items()}
    _replace(folder / SUMS, "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items())))


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
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _stage(store: Store, action: Action) -> dict[str, Any]:
    known = store.record(action.key)
    return {"key": action.key, "version": action.version, "result": known and known.result}


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(text)
    partial.replace(path)
