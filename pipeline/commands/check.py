"""doit check: everything that is wrong with a spec, without building it."""

from __future__ import annotations

import json as jsons
import sys
from typing import TYPE_CHECKING

from pipeline.errors import BadInput
from pipeline.project import Project
from pipeline.terminal import say
from pipeline.typed import typed

if TYPE_CHECKING:
    from pipeline.language.check import Found

DOC = "say what is wrong with a spec, without building it"
PARAMS = [
    {"name": "json", "long": "json", "type": bool, "default": False, "help": "as JSON, for editors and CI"},
    {"name": "alone", "long": "alone", "type": bool, "default": False,
     "help": "do not ask the images (commands, capabilities, users, bind targets): they would be fetched"},
]  # fmt: skip


class Wrong(BadInput):
    """The spec has problems, and they have been printed."""


def run(project: Project, name: str, json: bool = False, alone: bool = False) -> None:
    """Print the problems and warnings of the spec; Wrong if there are problems."""
    from pipeline.language import check
    from pipeline.language.problem import Problems

    found = check.check(project.path(name))
    if not alone and not found.errors:
        found = _with_images(project, name, found)
    if json:
        say(jsons.dumps(check.as_json(found), indent=1))
    else:
        for warning in found.warnings:
            say(f"warning: {warning}")
    if found.errors:
        problems = Problems(found.errors)
        raise Wrong("" if json else problems.shown() if sys.stderr.isatty() else str(problems))
    if not json:
        say(f"{project.path(name)}: right, {len(found.warnings)} warnings")


def _with_images(project: Project, name: str, found: Found) -> Found:
    """`found`, and what the images say; they have to be locked for that."""
    from pipeline import formats
    from pipeline.language import check
    from pipeline.language.unseen import unseen
    from pipeline.plan import plan

    spec = project.load(name)
    for arch in spec.build.arch:
        made = plan(spec, project.lock(name), arch)
        if made.images.missing:
            mends = typed(f"lock:{name}")
            say(f"{project.lock_path(name)} is not complete, so no image was asked: {mends}", error=True)
            return found
        carried = dict.fromkeys(form for name in spec.build.formats for form in formats.carried(name))
        more = check.examine(project.store, made.parts, carried)
        more.warnings.extend([] if more.errors else unseen(project.store, spec, made.parts))
        found = check.Found([*found.errors, *more.errors], [*found.warnings, *more.warnings])
    return found
