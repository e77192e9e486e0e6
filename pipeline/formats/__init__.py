"""Output formats, one file each: `ls pipeline/formats` is the list of them, and nothing else lists them.

A format's file is called as the format, with `_` for what no module name can have: `kernel+initrd` is in
kernel_initrd.py. It says NAME, VERSION, NEEDS (names of products, or of other formats), OPTIONS (the keys of `build:`
that it takes), SUFFIXES (of the files that it gives) and

    def build(store: Store, *needs: Digest, **options) -> Digest

which gives a flat Tree {suffix: File}; an output file is called as the spec, followed by the suffix.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
from pathlib import Path
from types import ModuleType


def find(name: str) -> ModuleType:
    """The module of the format `name`, the only one that is imported; KeyError if there is none."""
    stem = re.sub(r"[^a-z0-9]+", "_", name)
    if stem in _stems():
        module = importlib.import_module(f"{__name__}.{stem}")
        if name == module.NAME:
            return module
    raise KeyError(name)


@functools.cache
def names() -> tuple[str, ...]:
    """Every format's name, in order, without importing any."""
    texts = (Path(__path__[0], f"{stem}.py").read_text("utf-8") for stem in _stems())
    return tuple(sorted(name for text in texts for name in re.findall(r'^NAME = "(.+)"$', text, re.MULTILINE)))


def _stems() -> set[str]:
    """The modules in this folder."""
    return {file[:-3] for file in os.listdir(__path__[0]) if file.endswith(".py") and file[0] != "_"}
