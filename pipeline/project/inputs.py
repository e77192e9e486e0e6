"""Inputs of a node's build: the files of the project that planning reads, and the images and packages that it fetches.

The files are those that tracked reads name (pipeline.host.tracked), so that they need no second list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pipeline
from pipeline.engine import host_digests
from pipeline.engine.action import Action, closure
from pipeline.host import tracked
from pipeline.host.shipped import SHIPPED
from pipeline.model.errors import BadInput
from pipeline.packages import fetch
from pipeline.planning.images import IMAGES
from pipeline.project.project import CACHE, RESULTS, Project
from pipeline.project.targets import chosen
from pipeline.spec.build import COMPAT
from pipeline.stages import pull

CODE = ("pyproject.toml", "doit.cfg", "dodo.py", "kiln", "pipeline", CACHE, RESULTS)
"""Names at the top of a project that no input has: what doit runs, and what it writes."""
SETTINGS = ("SOURCE_DATE_EPOCH", COMPAT)
"""Environment variables that decide bytes, if a spec leaves them open."""
SHA256_DIGITS = 64
"""Length of a fingerprint of a file's content; that of an error is shorter."""
PACKAGE = Path(pipeline.__file__).parent
"""nodekiln's code and the data in it, which come with nodekiln itself."""

_READS, _LOOKS, _VARIABLES = (
    {f"{read.__module__}:{read.__name__}" for read in reads}
    for reads in ((tracked.contents, host_digests.sha256), (tracked.is_file,), (tracked.variable,))
)


class Inputs(NamedTuple):
    """The inputs of a node's build for some architectures and formats.

    files: path in the project -> the host's file, and the SHA-256 (hex) of its content when planning read it; "" for a
    file that planning looks for and a stage or `doit lock` reads (keys of archives).
    environment: SETTINGS that are set. keys: architecture -> format -> key of its action. fetches: architecture
    -> the actions that pull images and fetch packages.
    """

    name: str
    files: Mapping[str, tuple[Path, str]]
    environment: Mapping[str, str]
    keys: Mapping[str, Mapping[str, str]]
    fetches: Mapping[str, Sequence[Action]]


def collect(project: Project, name: str, arches: Sequence[str] = (), formats: str = "") -> Inputs:
    """Returns the inputs of the spec `name`; nothing is fetched. NodekilnError if its lock lacks something.

    arches: by default the spec's. formats: names, by commas, besides those that the spec asks for.
    """
    with tracked.record_inputs() as reads:
        targets = [project.target(name, arch) for arch in arches] if arches else project.targets(name)
        asked = targets[0].spec.build.formats
        wanted = [*dict.fromkeys((*asked, *(chosen(targets[0].spec, formats) if formats else ())))]
        plans = {target.arch: target.locked(*wanted) for target in targets}
        keys = {arch: {each: plan.format(each).key for each in wanted} for arch, plan in plans.items()}
        fetches = {
            arch: [
                action
                for action in closure(
                    *(action for each in wanted for action in (*plan.checks(each), plan.format(each)))
                )
                if action.stage in (pull.pull, fetch.fetch)
            ]
            for arch, plan in plans.items()
        }
    return Inputs(name, _files(project.root, reads), _environment(reads), keys, fetches)


def check_path(path: str) -> str:
    """Returns the path of an input in a project. BadInput if it leads out of it, or is that of code."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or not path.isprintable():
        raise BadInput(f"{path!a} is not a path in a project")
    if parts[0] in CODE or (len(parts) == 1 and path.endswith(".py")):
        raise BadInput(f"{path!a} may be run as code, or is written by builds: a bundle does not hold it")
    return str(PurePosixPath(*parts))


def _files(root: Path, reads: Iterable[tracked.Input]) -> dict[str, tuple[Path, str]]:
    digests = {arguments[0]: "" for name, arguments, result in reads if name in _LOOKS and result == repr(True)}
    read = {arguments[0]: result.strip("'") for name, arguments, result in reads if name in _READS}
    digests |= {source: digest for source, digest in read.items() if len(digest) == SHA256_DIGITS}
    paths = {_path_in_project(root, source): (Path(source), digest) for source, digest in digests.items()}
    return {path: paths[path] for path in sorted(paths) if path}


def _path_in_project(root: Path, source: str) -> str:
    """Returns the path, in any project, of a file that planning read. BadInput for a file outside of the project.

    Recipes that come with nodekiln get the path under which a project's own would be found; "" stands for its code.
    """
    path = Path(os.path.normpath(source))
    if path.is_absolute() and path.is_relative_to(SHIPPED / IMAGES):
        return check_path(path.relative_to(SHIPPED).as_posix())
    if path.is_absolute() and path.is_relative_to(PACKAGE):
        return ""
    if path.is_absolute() and path.is_relative_to(root):
        return check_path(path.relative_to(root).as_posix())
    if path.is_absolute() or path.parts[0] in ("..", "~"):
        raise BadInput(
            f"{source} lies outside the project: a bundle holds files of the project alone, so copy it there"
        )
    return check_path(path.as_posix())


def _environment(reads: Iterable[tracked.Input]) -> dict[str, str]:
    """Returns those of SETTINGS that planning read and that are set."""
    names = {arguments[0] for name, arguments, _ in reads if name in _VARIABLES}
    return {name: os.environ[name] for name in SETTINGS if name in names and name in os.environ}
