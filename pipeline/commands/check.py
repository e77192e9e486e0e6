"""doit check: everything that is wrong with a spec, without building it."""

from __future__ import annotations

import json as jsons
import sys

from pipeline import check, sections
from pipeline.errors import BadInput
from pipeline.parts import Context
from pipeline.plan import plan
from pipeline.problem import Problems
from pipeline.project import Project

DOC = "say what is wrong with a spec, without building it"
PARAMS = [
    {"name": "json", "long": "json", "type": bool, "default": False, "help": "as JSON, for editors and CI"},
    {"name": "images", "long": "images", "type": bool, "default": False,
     "help": "ask the images too (they are fetched): commands, capabilities, users, bind targets"},
]  # fmt: skip


class Wrong(BadInput):
    """The spec has problems, and they have been printed."""


def run(project: Project, name: str, json: bool = False, images: bool = False) -> None:
    """Print the problems and warnings of the spec; Wrong if there are problems."""
    found = check.check(project.path(name))
    if images and not found.errors:
        spec = project.load(name)
        for arch in spec.build.arch:
            made = plan(spec, project.lock(name), arch)
            if made.images.missing:
                raise BadInput(f"{project.lock_path(name)} is not complete: run `doit lock:{name}`")
            more = check.examine(project.store, sections.plan(Context(spec, made.images)))
            found = check.Found([*found.errors, *more.errors], [*found.warnings, *more.warnings])
    if json:
        print(jsons.dumps(check.as_json(found), indent=1))
    else:
        for warning in found.warnings:
            print(f"warning: {warning}")
    if found.errors:
        problems = Problems(found.errors)
        raise Wrong("" if json else problems.shown() if sys.stderr.isatty() else str(problems))
    if not json:
        print(f"{project.path(name)}: right, {len(found.warnings)} warnings")
