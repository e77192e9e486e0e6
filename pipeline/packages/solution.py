"""The decisions of apt's MarkInstall on a machine without packages, in apt's order.

The dependencies of a package have many solutions, and the one that users of Debian know is apt's
(docs/decisions/0025-apts-choice-of-packages.md). Nothing is installed before, so nothing is upgraded or removed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from pipeline.packages.relations import Alternatives, Relation
from pipeline.packages.universe import Universe, Version
from pipeline.packages.version import sort_key

MAXIMUM_DEPTH = 3000
"""Longest chain of dependencies to follow; apt's limit."""
_CALLS = 5
"""Maximum number of nested calls for a step of a chain."""


class State:
    """The decisions about a package so far. marked: it is to be installed. automatic: nobody requested it.

    protected: only a request may unmark it. history: candidate and installed version since a step of the solution.
    """

    def __init__(self, name: str, candidate: Version | None) -> None:
        self.name = name
        self.candidate = candidate
        self.installed: Version | None = None
        self.marked = self.protected = self.automatic = False
        self.history: list[tuple[int, Version | None, Version | None]] = [(-1, candidate, None)]


class Solution:
    """The decisions of apt's MarkInstall for `requested` versions."""

    def __init__(self, packages: Universe, requested: Sequence[Version]) -> None:
        self._packages = packages
        self._states: dict[str, State] = {}
        self._step = 0
        self._seen: dict[str, int] = {}
        """Key of a relation's target -> step at which apt last looked whether relations to it are met."""
        for version in requested:
            state = self._state(version.name)
            if state.candidate is not version:
                state.candidate = version
                self._update(state)
            state.protected = True
            self._mark(state, automatic=False)
        with _deep_calls():
            for version in dict.fromkeys(requested):
                self._install(version.name, by_user=True)
        self.is_complete = not any(map(self._is_broken, list(self._states.values())))
        """True if every dependency is met and no conflict is left."""
        self._sweep()

    def versions(self) -> list[Version]:
        """Returns the versions to install."""
        return [state.installed for state in self._states.values() if state.marked and state.installed]

    def _state(self, name: str) -> State:
        if name not in self._states:
            self._states[name] = State(name, self._packages.candidate(name))
        return self._states[name]

    def _update(self, state: State) -> None:
        """Looks again whether the relations to a package are met, and those to what its candidate provides."""
        self._record(state)
        self._step += 1
        keys = [key for key, _ in state.candidate.provided] if state.candidate else []
        self._seen.update(dict.fromkeys([state.name, *keys], self._step))

    def _record(self, state: State) -> None:
        state.history.append((self._step, state.candidate, state.installed))

    def _is_met(self, relation: Relation, parent: str, *, by_candidates: bool) -> bool:
        """Returns whether an installed version (or a candidate) matches, as it was when apt last looked."""
        seen = self._seen.get(self._packages.key(relation), 0)
        for target in self._targets(relation, parent):
            for step, candidate, installed in reversed(self._state(target.name).history):
                if step < seen:
                    if (candidate if by_candidates else installed) is target:
                        return True
                    break
        return False

    def _targets(self, relation: Relation, parent: str) -> list[Version]:
        """Returns the versions that match; none of `parent`, which cannot exclude itself ("" for other relations)."""
        return [version for version in self._packages.matching(relation) if version.name != parent]

    def _is_installed(self, clause: Alternatives) -> bool:
        return any(self._is_met(relation, "", by_candidates=False) for relation in clause)

    def _is_broken(self, state: State) -> bool:
        version = state.installed
        if version is None:
            return False
        return not all(map(self._is_installed, version.required)) or any(
            self._is_met(relation, version.name, by_candidates=False) for relation in version.excluded
        )

    def _mark(self, state: State, *, automatic: bool) -> None:
        if state.protected and state.installed is state.candidate:
            return
        state.marked, state.installed, state.automatic = True, state.candidate, automatic
        self._update(state)

    def _keep(self, state: State) -> bool:
        """Unmarks a package; returns whether that is possible."""
        if state.marked and state.protected:
            return False
        if state.marked:
            state.marked, state.installed = False, None
            self._update(state)
        return True

    def _discard(self, state: State) -> None:
        """Unmarks a package whose dependencies cannot be installed, and its candidate for good."""
        state.marked, state.installed = False, None
        self._update(state)
        state.candidate = None
        self._record(state)

    def _install(self, name: str, depth: int = 0, *, follow: bool = True, by_user: bool = False) -> bool:
        """Marks a package, with its dependencies if `follow`; returns whether that is possible."""
        state = self._state(name)
        if state.candidate is None or depth > MAXIMUM_DEPTH or (state.protected and not state.marked and not by_user):
            return False
        if not state.protected and state.marked and not self._is_broken(state):
            return True
        if follow and not self._is_possible(state):
            return False
        if by_user or not follow:
            self._mark(state, automatic=not by_user)
        return not follow or self._install_closure(state, state.candidate, depth, by_user)

    def _is_possible(self, state: State) -> bool:
        """Returns whether candidates can meet each dependency of the package's; else it has no candidate any more."""
        for clause in state.candidate.required if state.candidate else ():
            if not any(
                self._is_met(relation, "", by_candidates=by_candidates)
                for relation in clause
                for by_candidates in (False, True)
            ):
                if not state.protected:
                    state.candidate, state.marked = None, False
                    self._record(state)
                return False
        return True

    def _install_closure(self, state: State, version: Version, depth: int, by_user: bool) -> bool:
        already, may_fail = state.protected, state.protected or by_user
        required = [clause for clause in version.required if already or not self._is_installed(clause)]
        excluded = [
            relation
            for relation in version.excluded
            if already or self._is_met(relation, version.name, by_candidates=False)
        ]
        is_possible = self._exclude(version, excluded, already, may_fail)
        if not is_possible and not may_fail:
            return False
        if not by_user:
            self._mark(state, automatic=True)
        state.protected = True
        try:
            if not self._install_dependencies(required, depth, already, may_fail):
                is_possible = False
                if not may_fail:
                    self._discard(state)
        finally:
            state.protected = already
        return is_possible

    def _exclude(self, version: Version, excluded: Sequence[Relation], protects: bool, may_fail: bool) -> bool:
        """Unmarks what `version` conflicts with; returns whether that is possible. protects: for good."""
        is_possible = True
        for relation in excluded:
            for target in self._solutions((relation,), version.name):
                state = self._state(target.name)
                if state.candidate is not target:
                    continue
                if not self._keep(state):
                    is_possible = False
                    if not may_fail:
                        return False
                elif protects:
                    state.candidate, state.protected = state.installed, True
                    self._record(state)
        return is_possible

    def _solutions(self, clause: Alternatives, parent: str = "") -> list[Version]:
        """Returns the candidates that match, the preferred one first. parent: as in `_targets`."""
        solutions: list[Version] = []
        for relation in clause:
            if self._is_met(relation, parent, by_candidates=True):
                targets = (each for each in self._targets(relation, parent) if self._state(each.name).candidate is each)
                solutions += self._sorted(list(dict.fromkeys(targets)), relation)
        return [version for version, _ in groupby(solutions)]

    def _sorted(self, versions: list[Version], relation: Relation) -> list[Version]:
        """Returns the versions in the order in which apt tries them."""
        packages, target = self._packages, self._packages.key(relation)

        def rank(version: Version) -> tuple[bool | int, ...]:
            name = version.name
            marks = (
                self._state(name).protected,
                name == target,
                packages.is_essential(name),
                packages.is_important(name),
            )
            return (*(not mark for mark in marks), version.importance)

        order: list[Version] = []
        for _, group in groupby(sorted(versions, key=rank), rank):
            equal = list(group)
            if len(equal) > 1:
                equal.sort(key=lambda version: packages.mention(version.name), reverse=True)
            order += equal
        return order

    def _open(self, clause: Alternatives) -> list[Version]:
        """Returns the candidates that match and that no request keeps out."""
        states = ((version, self._state(version.name)) for version in self._solutions(clause))
        return [version for version, state in states if state.marked or not state.protected]

    def _install_dependencies(
        self, clauses: Sequence[Alternatives], depth: int, protects: bool, may_fail: bool
    ) -> bool:
        is_possible = True
        for clause in clauses:
            if self._is_installed(clause):
                if protects:
                    is_possible &= self._protect(clause, depth)
            elif not self._install_one(self._open(clause), depth, protects):
                is_possible = False
                if not may_fail:
                    return False
        return is_possible

    def _protect(self, clause: Alternatives, depth: int) -> bool:
        """Protects the only version that can meet a dependency of a protected package."""
        solutions = set(self._open(clause))
        if len(solutions) != 1:
            return True
        [solution] = solutions
        state = self._state(solution.name)
        if state.protected:
            return True
        state.protected = True
        return self._install(state.name, depth + 1)

    def _install_one(self, solutions: Sequence[Version], depth: int, protects: bool) -> bool:
        """Installs the first version that can be installed."""
        for solution in solutions:
            state = self._state(solution.name)
            if state.candidate is not solution:
                continue
            if protects and len(solutions) == 1:
                if not self._install(state.name, depth + 1, follow=False):
                    continue
                state.protected = True
            if self._install(state.name, depth + 1):
                return True
        return False

    def _sweep(self) -> None:
        """Unmarks what was marked for alternatives that were given up."""
        roots = [state for state in self._states.values() if state.marked and self._is_root(state)]
        needed = {state.name for state in roots}
        while roots:
            version = roots.pop().installed
            for clause in version.required if version else ():
                for relation in clause:
                    for name in self._followed(relation) - needed:
                        needed.add(name)
                        roots.append(self._state(name))
        for state in self._states.values():
            if state.marked and state.name not in needed:
                state.marked, state.installed = False, None

    def _is_root(self, state: State) -> bool:
        packages = self._packages
        return not state.automatic or packages.is_essential(state.name) or packages.is_important(state.name)

    def _followed(self, relation: Relation) -> set[str]:
        """Returns the installed packages that match; of one source's, those of its newest version."""
        by_source: dict[str, list[Version]] = {}
        for version in self._targets(relation, ""):
            if self._state(version.name).installed is version:
                by_source.setdefault(version.source[0], []).append(version)
        names = set()
        for versions in by_source.values():
            newest = max(sort_key(version.source[1]) for version in versions)
            names |= {version.name for version in versions if sort_key(version.source[1]) == newest}
        return names


@contextmanager
def _deep_calls() -> Iterator[None]:
    """Lets Python follow chains of `MAXIMUM_DEPTH` steps."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _CALLS * MAXIMUM_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
