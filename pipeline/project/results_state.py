"""State of the result files of a spec when they were last written, so that a build notices later changes to them.

build/.written/NODE.json (NODE/ARCH.json for several architectures) is a sealed document:

    formats    format -> `key` of the action that gave it, and `files`: name -> sha256
    files      name -> [sha256, stamp (pipeline.host.stamp)] of what was last written under that name

Two formats may give a file of one name: the file of the one that was written first is then another's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, checksummed_json
from pipeline.host.stamp import Stamp, stamp
from pipeline.model.digest import Digest

FOLDER = ".written"
"""Folder of the states, in the folder of results; a file for each spec."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
PROVENANCE = "provenance.json"
SHARED = (MANIFEST, SUMS, PROVENANCE)
"""Files that belong to all formats of a spec."""
lock = threading.RLock()
"""Held while SHARED files and their state are written: a reader in between would see a change."""
FileState = tuple[str, Stamp]
"""The sha256 of a file, in hexadecimal, and its stamp."""


class ResultsState(NamedTuple):
    """The files in `folder`, which is relative to the project, as they were written."""

    folder: Path
    formats: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Sequence[Any]]

    def staleness(self, name: str, key: str) -> str:
        """Returns why the files of the format `name`, or the shared ones, are not what the action `key` gave; "" if
        they are."""
        entry = self.formats.get(name)
        if entry is None or entry["key"] != key:
            return "never built here" if entry is None else "its files are those of another build"
        for file, digest in entry["files"].items():
            if self.files[file][0] != digest:
                return f"{file} was written over by another format"
        return next(filter(None, map(self._change, (*entry["files"], *SHARED))), "")

    def _change(self, name: str) -> str:
        """Returns what happened to the file `name` since it was written; "" for nothing."""
        try:
            state = stamp(os.stat(self.folder / name, follow_symlinks=False))
        except OSError:
            return f"{name} is gone"
        return "" if [*state] == self.files[name][1] else f"{name} was changed since it was written"

    def unchanged(self, name: str) -> bytes:
        """Returns the bytes of the file `name`; none if they are not those that were written."""
        try:
            data = (self.folder / name).read_bytes()
        except OSError:
            return b""
        return data if name in self.files and Digest.of(data).hex == self.files[name][0] else b""

    def with_format(
        self, name: str, key: str, files: Mapping[str, FileState], shared: Mapping[str, FileState]
    ) -> ResultsState:
        """Returns the state after the format `name` was written, as the action `key` gave it, and the shared files."""
        entry = {"key": key, "files": {file: digest for file, (digest, _) in files.items()}}
        return ResultsState(self.folder, {**self.formats, name: entry}, {**self.files, **files, **shared})

    def write(self) -> None:
        path = _path(self.folder)
        atomic.make_folder(Path(), str(path.parent))
        atomic.write(path, checksummed_json.dump(str(self.folder), {"formats": self.formats, "files": self.files}))

    def remove(self) -> None:
        _path(self.folder).unlink(missing_ok=True)


def read(folder: Path) -> ResultsState:
    """Returns the state of `folder`, which is relative to the project; an empty one if it is unknown."""
    try:
        document = checksummed_json.load(str(folder), _path(folder).read_bytes())
    except OSError:
        document = None
    return ResultsState(folder, document["formats"], document["files"]) if document else ResultsState(folder, {}, {})


def _path(folder: Path) -> Path:
    """build/NODE -> build/.written/NODE.json; the state of a folder elsewhere is beside it."""
    results, *parts = (folder.parent, folder.name) if folder.is_absolute() else folder.parts
    return Path(results, FOLDER, *parts).with_name(f"{folder.name}.json")
