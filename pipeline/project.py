"""Project: a folder with specs/, and where everything of it lies."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.language.spec import Spec
    from pipeline.lock import Lock
    from pipeline.store import Store

SPECS = "specs"
RESULTS = "build"
CACHE = "cache"


class Project:
    """The folder `root`. Nothing is read before it is asked for.

    NODEKILN_CACHE names another folder for the store, to share it between checkouts.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def store(self) -> Store:
        from pipeline.store import Store

        return Store(self.cache)

    @property
    def cache(self) -> Path:
        return self.root / os.environ.get("NODEKILN_CACHE", CACHE)

    @cached_property
    def damage(self) -> str:
        """What tells the last damage that was found in the store, when this was first asked, from any other."""
        from pipeline.mark import damage

        return damage(self.cache)

    def names(self) -> list[str]:
        """The specs there are, by name."""
        return sorted(path.stem for path in (self.root / SPECS).glob("*.yml"))

    def path(self, name: str) -> Path:
        """The spec's file, relative to the project, as messages show it."""
        return Path(SPECS, f"{name}.yml")

    def load(self, name: str) -> Spec:
        """The spec; Problems with everything that is wrong with it."""
        from pipeline.language.spec import load

        return load(self.path(name))

    def lock_path(self, name: str) -> Path:
        return Path(SPECS, f"{name}.lock")

    def lock(self, name: str) -> Lock:
        from pipeline import lock

        return lock.read(self.root / self.lock_path(name))

    def results(self, name: str, arch: str = "") -> Path:
        """Where the spec's results go, relative to the project; `arch` where it is built for several."""
        return Path(RESULTS, name, arch)
