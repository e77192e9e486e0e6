"""Resolution of package names to the packages that apt would choose, from indexes alone."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pipeline.language.problem import suggestion
from pipeline.packages.error import PackageError
from pipeline.packages.libraries import LIBS, with_libraries
from pipeline.packages.package import Package
from pipeline.packages.solution import Solution
from pipeline.packages.universe import Index, Universe, Version, universe
from pipeline.packages.unmet import faults


def choose(
    indexes: Sequence[Index],
    architecture: str,
    packages: Sequence[str],
    dependencies: bool | str | Sequence[str] = True,
) -> list[Package]:
    """Returns `packages` (`NAME` or `NAME=VERSION`) and the dependencies that apt chooses for them, sorted by name.

    architecture: Debian's name. dependencies: False for none; patterns (`libc6`, `lib*`, `!perl*`) for those that a
    pattern matches and no pattern with `!`; LIBS for the shared libraries among them (`with_libraries`). Recommended
    packages are left out, and so are essential packages that nothing depends on. PackageError, with a line a fault, for
    unknown packages and unmet dependencies.
    """
    available = universe(tuple(indexes), architecture)
    requested = _requested(available, packages)
    chosen = requested if dependencies is False else _closure(available, requested)
    names = {version.name for version in requested}
    if dependencies == LIBS:
        reached = with_libraries(names, (version.fields for version in chosen))
        chosen = [version for version in chosen if version.name in reached]
    elif not isinstance(dependencies, bool):
        chosen = [each for each in chosen if each.name in names or selects(dependencies, each.name)]
    return sorted(available.package(version) for version in dict.fromkeys(chosen))


def selects(patterns: Sequence[str], name: str) -> bool:
    """Returns whether a glob matches `name` and none with `!` does. Without positive globs all names match."""
    included = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(fnmatchcase(name, glob) for glob in included) and not any(fnmatchcase(name, glob) for glob in excluded)


def _closure(available: Universe, requested: Sequence[Version]) -> list[Version]:
    """Returns the requested versions with their dependencies. PackageError, with a line for each that is unmet."""
    solution = Solution(available, requested)
    if not solution.is_complete:
        raise PackageError("\n".join(faults(available, requested, solution)))
    return solution.versions()


def _requested(available: Universe, requests: Sequence[str]) -> list[Version]:
    """Returns the version that each request means. PackageError, with a line for each request without one."""
    versions, errors = [], []
    for request in requests:
        try:
            versions.append(_version(available, request))
        except PackageError as error:
            errors.append(str(error))
    if errors:
        raise PackageError("\n".join(errors))
    return versions


def _version(available: Universe, request: str) -> Version:
    """Returns the version that a request means: the package's own, else the only provider's."""
    name, equals, wanted = request.partition("=")
    if equals:
        own = next((version for version in available.versions(name) if version.version == wanted), None)
    else:
        own = available.candidate(name)
    if own:
        return own
    providers = {
        version.name: version
        for version, provided in available.providers(name)
        if version is available.candidate(version.name) and (not equals or provided == wanted)
    }
    if len(providers) == 1:
        return providers.popitem()[1]
    raise PackageError(_unknown(available, name, wanted, sorted(providers)))


def _unknown(available: Universe, name: str, wanted: str, providers: Sequence[str]) -> str:
    """Returns the message about a request that means no version, or several."""
    if providers:
        return f"{name} is a virtual package: name one that provides it ({', '.join(providers)})"
    if versions := available.versions(name):
        others = ", ".join(dict.fromkeys(version.version for version in versions))
        return f"no version {wanted} of {name} (there is {others})"
    components = " and ".join(sorted({index.component for index in available.indexes}))
    suites = ", ".join(dict.fromkeys(index.suite for index in available.indexes))
    hint = suggestion(name, available.names())
    where = f"no package {name} for {available.architecture} in {components} of {suites}"
    return f"{where} ({hint or 'is it in another component, non-free-firmware, say?'})"
