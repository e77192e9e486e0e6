"""The label of a worker: a name of all code that decides bytes, so that a stage runs elsewhere as it would here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pipeline
from pipeline.model import columns
from pipeline.model.digest import canonical_json

COMPRESSORS = ("zstandard", "deflate", "lz4")
"""Distributions whose versions decide bytes."""
PREFIX = "nodekiln-"
DIGITS = 12
"""Hexadecimal digits of the hash in a label: a collision of two versions is an accident of 1 in 10¹⁴."""
FOLDER = Path(pipeline.__file__).parent
NO_CODE = ("__pycache__", "share")
"""Folders of the package that hold no code: a wheel has recipes and examples in `share`, a checkout beside it."""


@cache
def label() -> str:
    """Returns the label of this process: of the package as its files were at the first call, and of compressors."""
    parts = [pipeline.__version__, columns.VERSION, sources(FOLDER), [_version(name) for name in COMPRESSORS]]
    return PREFIX + hashlib.sha256(canonical_json(parts)).hexdigest()[:DIGITS]


def sources(folder: Path) -> str:
    """Returns the SHA-256 (hex) of the names and bytes of all files of the package in `folder`."""
    digest = hashlib.sha256()
    for entry in _files(str(folder)):
        data = Path(entry.path).read_bytes()
        digest.update(canonical_json([os.path.relpath(entry.path, folder), len(data)]) + data)
    return digest.hexdigest()


def state(folder: Path = FOLDER) -> str:
    """Returns a text that changes whenever a file of the package is replaced or edited: modules are loaded late."""
    stats = ((entry.path, entry.stat()) for entry in _files(str(folder)))
    return repr([(path, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in stats])


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                if entry.name not in NO_CODE:
                    yield from _files(entry.path)
            else:
                yield entry


def _version(name: str) -> str:
    """Returns the version of an installed distribution; "" if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
