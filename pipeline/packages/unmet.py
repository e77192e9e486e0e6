"""The reasons for which packages cannot be installed, as chains of dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.packages.relations import Alternatives
from pipeline.packages.solution import Solution
from pipeline.packages.universe import Universe, Version


def faults(packages: Universe, requested: Sequence[Version], solution: Solution) -> list[str]:
    """Returns a line for each requested version that an incomplete solution cannot install."""
    search = _Search(packages, requested, solution)
    lines = [f"{version.name} {fault}" for version in requested if (fault := search.fault(version, ()))]
    names = ", ".join(version.name for version in requested)
    return lines or [f"{names} cannot be installed together"]


class _Search:
    def __init__(self, packages: Universe, requested: Sequence[Version], solution: Solution) -> None:
        self._packages = packages
        self._requested = {version.name: version for version in requested}
        self._installed = list(dict.fromkeys([*requested, *solution.versions()]))
        self._seen: set[Version] = set()

    def fault(self, version: Version, path: tuple[Version, ...]) -> str:
        """Returns the reason, without its subject, for which a version cannot be installed; "" without one."""
        if version in self._seen or version in path:
            return ""
        self._seen.add(version)
        if rival := next(self._rivals(version), None):
            return f"conflicts with {rival.name} {rival.version}"
        for clause in version.required:
            candidates = self._candidates(clause)
            if any(candidate in self._installed for candidate in candidates):
                candidates = [candidate for candidate in candidates if candidate in self._installed]
            reasons = [(each, self.fault(each, (*path, version))) for each in candidates]
            if all(reason for _, reason in reasons):
                return f"needs {_text(clause)}, {self._reason(clause, reasons)}"
        return ""

    def _reason(self, clause: Alternatives, reasons: Sequence[tuple[Version, str]]) -> str:
        if reasons:
            provider, reason = reasons[0]
            names = {relation.name for relation in clause}
            return f"which {reason}" if provider.name in names else f"and {provider.name}, which provides it, {reason}"
        versions = [version for relation in clause for version in self._packages.versions(relation.name)]
        there = ", ".join(
            f"{each.name} {each.version} ({each.sources[0][0].suite})" for each in dict.fromkeys(versions)
        )
        return f"of which there is only {there}" if there else "which is in no index"

    def _candidates(self, clause: Alternatives) -> list[Version]:
        matching = (version for relation in clause for version in self._packages.matching(relation))
        return [version for version in dict.fromkeys(matching) if version is self._preferred(version.name)]

    def _preferred(self, name: str) -> Version | None:
        return self._requested.get(name) or self._packages.candidate(name)

    def _rivals(self, version: Version) -> Iterator[Version]:
        """Yields the installed versions that `version` conflicts with, in either direction."""
        for other in self._installed:
            for one, two in ((version, other), (other, version)):
                if one.name != two.name and any(two in self._packages.matching(each) for each in one.excluded):
                    yield other


def _text(clause: Alternatives) -> str:
    return " | ".join(map(str, clause))
