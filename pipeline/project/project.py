"""A project: a folder with specs/, and the paths of all that belongs to it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host import atomic
from pipeline.model.errors import BadInput

if TYPE_CHECKING:
    from pipeline.engine.action import Executor
    from pipeline.planning.lock import Lock
    from pipeline.planning.signatures import Signed
    from pipeline.project.targets import Target
    from pipeline.spec.spec import Spec
    from pipeline.store import Store
    from pipeline.store.beyond import Beyond

SPECS = "specs"
RULES = "trust.yml"
"""Name of the file in SPECS that is no spec: rules about signers (pipeline.planning.trust_policy)."""
RESULTS = "build"
CACHE = "cache"
STATE = ".doit.db"
"""Name of doit's database in RESULTS; the files that SQLite makes beside it start with it."""
ELSEWHERE = "NODEKILN_CACHE"
"""Environment variable: another folder for the store."""


class Project:
    """The folder `root`. Nothing is read until it is needed.

    NODEKILN_CACHE names another folder for the store, which checkouts can share.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def store(self) -> Store:
        from pipeline.incremental import open_store

        return open_store(self.cache, self._beyond)

    def _beyond(self) -> Beyond:
        from pipeline.shared import configuration

        return configuration.beyond(self.root)

    @cached_property
    def execute(self) -> Executor:
        """Runs a stage: here, or on the workers that are configured. BadInput if they are not right."""
        from pipeline.workers.configuration import executor

        return executor(self.root)

    @property
    def cache(self) -> Path:
        """The store's folder."""
        return self.root / os.environ.get(ELSEWHERE, CACHE)

    def check(self) -> None:
        """BadInput if a spec's name is not printable; SymlinkOnPath if the cache would be written outside the project.

        The results' folder is checked where doit's database in it is opened (pipeline.tasks.state).
        """
        for name in self.names():
            if not name.isprintable():
                raise BadInput(f"{SPECS}/{name}.yml: the name of a spec must be printable: rename it")
        if not os.environ.get(ELSEWHERE) and (self.root / CACHE).is_symlink():
            raise atomic.SymlinkOnPath(Path(CACHE), f"remove it; {ELSEWHERE} names a cache that is elsewhere")

    @cached_property
    def damage(self) -> str:
        """Identifies the last damage found in the store before the first call."""
        from pipeline.host.stamp import damage_token

        return damage_token(self.cache)

    def names(self) -> list[str]:
        """The names of all specs, sorted."""
        return sorted(path.stem for path in (self.root / SPECS).glob("*.yml") if path.name != RULES)

    def path(self, name: str) -> Path:
        """The spec's file, relative to the project, as messages show it."""
        return Path(SPECS, f"{name}.yml")

    def load(self, name: str) -> Spec:
        """The spec `name`. Problems lists everything that is wrong with it."""
        from pipeline.planning.load import load

        return load(self.path(name))

    def lock_path(self, name: str) -> Path:
        return Path(SPECS, f"{name}.lock")

    def lock(self, name: str) -> Lock:
        from pipeline.planning import lock

        return lock.read(self.root / self.lock_path(name))

    def signed(self, name: str) -> Signed:
        """The lock of the spec `name`, and the evidence of its signatures. LockError; Problems."""
        from pipeline.planning import trust_policy
        from pipeline.planning.signatures import Signed

        return Signed(self.lock(name), trust_policy.evidence(self._evidence_path(name)))

    def write_signed(self, name: str, signed: Signed) -> None:
        """Writes the lock of the spec `name`, after the evidence that it names."""
        from pipeline.planning import lock, signatures

        signatures.write(self._evidence_path(name), signed.evidence)
        lock.write(self.root / self.lock_path(name), signed.lock)

    def _evidence_path(self, name: str) -> Path:
        from pipeline.planning.trust_policy import EVIDENCE

        return self.root / self.lock_path(name).with_suffix(EVIDENCE)

    def targets(self, name: str, lock: Path | None = None) -> list[Target]:
        """The spec `name` for each of its architectures. lock: a file other than the project's own."""
        from pipeline.planning.lock import read
        from pipeline.project.targets import Target

        spec, known = self.load(name), read(lock or self.root / self.lock_path(name))
        return [Target(spec, arch, known) for arch in spec.build.arch]

    def target(self, name: str, arch: str = "") -> Target:
        """The spec `name` for `arch`, or for the first of its architectures; BadInput if it is not built for `arch`."""
        targets = {target.arch: target for target in self.targets(name)}
        if arch and arch not in targets:
            raise BadInput(f"{self.path(name)} is built for {', '.join(targets)}, not for {arch}")
        return targets[arch or next(iter(targets))]

    def results(self, name: str) -> Path:
        """The folder of the spec's results, relative to the project; those of several architectures lie below it."""
        return Path(RESULTS, name)

    def make(self, folder: Path) -> Path:
        """Creates `folder`, relative to the project, if need be. Symlinked if a part of its path is a symlink."""
        return atomic.make_folder(self.root, str(folder))
