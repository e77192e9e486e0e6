"""Project: a folder with specs/, and where everything of it lies."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host import atomic
from pipeline.model.errors import BadInput

if TYPE_CHECKING:
    from pipeline.planning.lock import Lock
    from pipeline.spec.spec import Spec
    from pipeline.store import Store

SPECS = "specs"
RESULTS = "build"
CACHE = "cache"
STATE = ".doit.db"
"""doit's database in RESULTS; sqlite's own files beside it start with the same name."""
ELSEWHERE = "NODEKILN_CACHE"
"""Environment variable: another folder for the store."""


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
        """The store's folder."""
        return self.root / os.environ.get(ELSEWHERE, CACHE)

    def check(self) -> None:
        """BadInput if a spec's name cannot be shown, or the project's own cache and results, or what doit remembers of
        them, would be written elsewhere (Symlinked)."""
        for name in self.names():
            if not name.isprintable():
                raise BadInput(f"{SPECS}/{name}.yml: the name of a spec is printable: rename it")
        if not os.environ.get(ELSEWHERE) and (self.root / CACHE).is_symlink():
            raise atomic.SymlinkOnPath(Path(CACHE), f"remove it; {ELSEWHERE} names a cache that is elsewhere")
        results = atomic.path_without_symlinks(self.root, RESULTS)
        for link in atomic.symlinks(results):
            if link.name.startswith(STATE):
                raise atomic.SymlinkOnPath(link)

    @cached_property
    def damage(self) -> str:
        """What tells the last damage that was found in the store, when this was first asked, from any other."""
        from pipeline.host.stamp import damage_token

        return damage_token(self.cache)

    def names(self) -> list[str]:
        """The specs there are, by name."""
        return sorted(path.stem for path in (self.root / SPECS).glob("*.yml"))

    def path(self, name: str) -> Path:
        """The spec's file, relative to the project, as messages show it."""
        return Path(SPECS, f"{name}.yml")

    def load(self, name: str) -> Spec:
        """The spec; Problems with everything that is wrong with it."""
        from pipeline.planning.load import load

        return load(self.path(name))

    def lock_path(self, name: str) -> Path:
        return Path(SPECS, f"{name}.lock")

    def lock(self, name: str) -> Lock:
        from pipeline.planning import lock

        return lock.read(self.root / self.lock_path(name))

    def results(self, name: str, arch: str = "") -> Path:
        """Where the spec's results go, relative to the project; `arch` where it is built for several."""
        return Path(RESULTS, name, arch)

    def make(self, folder: Path) -> Path:
        """`folder`, relative to the project, made if need be. Symlinked if something on the way is a symlink."""
        return atomic.make_folder(self.root, str(folder))
