"""doit harden: the security posture of a node, compared with baselines."""

from __future__ import annotations

import json as jsons
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.model.errors import NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.inspect.hardening import Hardening


class WeakNode(NodekilnError):
    """A node breaks rules of a baseline, and --strict was given."""


@command(
    "the node's security posture, and what weakens it by the baselines of others, with the line of the spec",
    baseline="baselines to compare with, separated by commas: bottlerocket, cis, kspp, talos (default: all), or files",
    accept="weak points to accept, separated by commas: BASELINE:RULE, or BASELINE:RULE@CONTAINER",
    strict="exit code 1 if a rule is broken that is not accepted, for CI",
    every="show every rule: also those that hold or are not for container hosts",
    json="write everything to this file as JSON ('-': to standard output)",
)
def run(
    project: Project,
    names: Sequence[str],
    baseline: str = "",
    accept: str = "",
    strict: bool = False,
    every: bool = False,
    json: str = "",
) -> None:
    """Prints the posture of specs; WeakNode for a weak one with `strict`."""
    from pipeline.inspect import baseline as baselines
    from pipeline.inspect import hardening
    from pipeline.inspect.posture import posture

    chosen = _words(baseline) or baselines.names()
    found = [
        hardening.harden(
            posture(project.store, target.locked(*target.spec.build.formats), target.title), chosen, _words(accept)
        )
        for name in names
        for target in project.targets(name)
    ]
    text = jsons.dumps([each.as_json() for each in found], indent=1) + "\n"
    if json == "-":
        say(text, end="")
    else:
        if json:
            Path(json).write_text(text)
        say("\n".join(each.text(every) for each in found), end="")
    if strict and (weak := [each for each in found if each.weak]):
        raise WeakNode("\n".join(_counted(each) for each in weak))


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _counted(found: Hardening) -> str:
    rules = {(each.name, each.subject) for each in found.weak}
    return f"{found.posture.title}: {len(rules)} weak points; --accept=BASELINE:RULE names those that are meant"
