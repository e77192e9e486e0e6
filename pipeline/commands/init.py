"""doit init: make a project in a folder: a spec, a recipe of one's own, and what editors and CI need."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.command import command

DEFAULT = "node"
"""Name of the spec of a new project."""
ARCHIVE = "debian"
"""The archive whose mirror a new project needs."""


def no_names(project: Project) -> list[str]:
    """Returns no names: there is no `init:NAME`."""
    return []


@command(
    "make a project in DIR (default: here): a spec, a recipe, editor settings, a CI file; what is there stays",
    words="DIR",
    names=no_names,
    name="name of the spec (default: node, and none where there are specs)",
    key="public key that may log in (default: ~/.ssh/id_{ed25519,ecdsa,rsa}.pub)",
    mirror="URL above debian/ of a mirror, for pyproject.toml (default: NODEKILN_PACKAGES, else apt has one)",
    ci="whose CI file: github, gitlab or none",
    update="replace the JSON Schemas in specs/ by those of this version",
)
def run(
    project: Project,
    words: Sequence[str],
    name: str = "",
    key: str = "",
    mirror: str = "",
    ci: str = "github",
    update: bool = False,
) -> None:
    """Writes the files of a project that are not there."""
    from pipeline.project import template

    root = _root(project, words)
    there = Project(root).names()
    name = name or (DEFAULT if not there else "")
    wanted = template.files(name, _keys(key), _mirrors(root, mirror), ci)
    made, kept = template.write(root, wanted, template.SCHEMAS if update else ())
    _print_outcome(root, wanted, made, kept)
    folder = "" if root == project.root else f"in {words[0]}: "
    say(f"{folder}{user_command(f'build:{name or there[0]}')} builds, {user_command('list')} has all the rest")


def _root(project: Project, words: Sequence[str]) -> Path:
    if len(words) > 1:
        raise BadInput(f"{user_command('init DIR')}: one folder, not {len(words)}")
    root = project.root / words[0] if words else project.root
    if root.exists() and not root.is_dir():
        raise BadInput(f"{words[0]} is not a folder")
    if not root.name.isprintable():
        raise BadInput(f"{words[0]}: the name of a folder must be printable")
    return root if root.resolve() != project.root.resolve() else project.root


def _keys(key: str) -> Sequence[str]:
    """Returns the public keys of the file `key`, or the user's own; none if there are none."""
    from pipeline.run import nocloud

    file = nocloud.public_file(Path(key)) if key else nocloud.own_keys()
    return nocloud.public_keys(file) if file else ()


def _mirrors(root: Path, mirror: str) -> Sequence[str]:
    """Returns the URLs of mirrors that the project's settings should have; none if the project or the host has them.

    They are those of `mirror`, of the environment, or of the person at the terminal.
    """
    from pipeline.packages import mirrors
    from pipeline.packages.error import PackageError

    if value := mirror or os.environ.get(mirrors.VARIABLE):
        return mirrors.configured({mirrors.VARIABLE: value})
    try:
        if not mirrors.configured({}, root):
            mirrors.Mirrors().require(ARCHIVE)
    except PackageError as error:
        if answer := _typed() if sys.stdin.isatty() else "":
            return mirrors.configured({mirrors.VARIABLE: answer})
        say(f"warning: {error}", error=True)
    return ()


def _typed() -> str:
    """Returns the mirror that the person at the terminal types; "" for none."""
    say(f"This host names no mirror of Debian. URL above {ARCHIVE}/, such as https://HOST (empty: none): ", end="")
    return sys.stdin.readline().strip()


def _print_outcome(root: Path, wanted: Mapping[str, str], made: Sequence[str], kept: Sequence[str]) -> None:
    from pipeline.project import template

    if made:
        say(f"made: {', '.join(made)}")
    if kept:
        say(f"there already, and left as it is: {', '.join(kept)}")
    for path, lines in template.lacking(root, wanted):
        say(f"{path} is yours; it lacks: {'; '.join(lines)}")
    for path in template.SCHEMAS:
        if (root / path).read_bytes() != wanted[path].encode():
            say(f"{path} is of another version of nodekiln: {user_command('init --update')} replaces it")
