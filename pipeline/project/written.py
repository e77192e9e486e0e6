"""Written: the files of a spec's results as they were written, so that a build notices what was done to them since.

build/.written/NODE.json (NODE/ARCH.json for several architectures) is a sealed document:

    formats    format -> `key` of the action that gave it, and `files`: name -> sha256
    files      name -> [sha256, mark (pipeline.host.stamp)] of what was last written under that name

Two formats may give a file of one name: then the second is not what the first one's action gave.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.host import atomic, checksummed_json
from pipeline.host.stamp import Stamp, stamp

FOLDER = ".written"
"""Folder of the results; a file for each spec."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
BESIDE = (MANIFEST, SUMS)
"""Files that belong to all formats of a spec."""
noting = threading.RLock()
"""Held while files that belong to all formats are written and that is noted: who looks between would see a change."""
Noted = tuple[str, Stamp]
"""The sha256 of a file, in hexadecimal, and its mark, as it was written."""


class Written(NamedTuple):
    """The files in the folder `folder` as they were written."""

    folder: Path
    formats: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Sequence[Any]]

    def wrong(self, form: str, key: str) -> str:
        """Returns why the files of the format `form`, and those beside them, are not what the action `key` gave; "" if
        they are."""
        entry = self.formats.get(form)
        if entry is None or entry["key"] != key:
            return "never built here" if entry is None else "its files are those of another build"
        for name, digest in entry["files"].items():
            if self.files[name][0] != digest:
                return f"{name} was written over by another format"
        return next(filter(None, map(self._changed, (*entry["files"], *BESIDE))), "")

    def _changed(self, name: str) -> str:
        """Returns what was done to the file `name` since it was written; "" for nothing."""
        try:
            found = stamp(os.stat(self.folder / name, follow_symlinks=False))
        except OSError:
            return f"{name} is gone"
        return "" if [*found] == self.files[name][1] else f"{name} was changed since it was written"

    def whole(self, name: str) -> bytes:
        """Returns the bytes of the file `name`; none if they are not those that were written."""
        try:
            data = (self.folder / name).read_bytes()
        except OSError:
            return b""
        return data if name in self.files and hashlib.sha256(data).hexdigest() == self.files[name][0] else b""

    def after(self, form: str, key: str, files: Mapping[str, Noted], beside: Mapping[str, Noted]) -> Written:
        """Returns this with what was just written: the files of `form`, which `key` gave, and those beside them."""
        entry = {"key": key, "files": {name: digest for name, (digest, _) in files.items()}}
        return Written(self.folder, {**self.formats, form: entry}, {**self.files, **files, **beside})

    def write(self) -> None:
        """Notes it for the next build."""
        path = _place(self.folder)
        atomic.make_folder(Path(), str(path.parent))
        atomic.write(path, checksummed_json.dump(str(self.folder), {"formats": self.formats, "files": self.files}))

    def forget(self) -> None:
        """Notes that nothing is known of the folder any more."""
        _place(self.folder).unlink(missing_ok=True)


def read(folder: Path) -> Written:
    """Returns what was written into `folder`, which is relative to the project; nothing where that is not known."""
    try:
        found = checksummed_json.load(str(folder), _place(folder).read_bytes())
    except OSError:
        found = None
    return Written(folder, found["formats"], found["files"]) if found else Written(folder, {}, {})


def _place(folder: Path) -> Path:
    """build/NODE -> build/.written/NODE.json"""
    results, *parts = folder.parts
    return Path(results, FOLDER, *parts).with_name(f"{folder.name}.json")
