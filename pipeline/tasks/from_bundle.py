"""From bundle: `doit build:NODE --from BUNDLE`, or `from=BUNDLE` among doit's words, for all of its tasks.

The bundle's images and packages go into the store, each verified, and the run goes on without network. In a folder
without specs, the project comes out of the bundle, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.host.offline import go_offline
from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import SPECS, Project

if TYPE_CHECKING:
    from pipeline.project.bundle_reader import Bundle

NAME = "from"
"""Name of the option, and of doit's variable."""
OPTION = {
    "name": NAME,
    "long": NAME,
    "type": str,
    "default": "",
    "help": "take images and packages from a bundle, and use no network",
}
NAMED = 5
"""Files that are named in a warning."""

_used: set[str] = set()
"""Bundles that this process has used."""


def typed(words: Sequence[str]) -> str:
    """Returns the value of `--from` among doit's words; "" if it is not there."""
    for number, word in enumerate(words):
        if word == f"--{NAME}":
            return words[number + 1] if number + 1 < len(words) else ""
        if word.startswith(f"--{NAME}="):
            return word.partition("=")[2]
    return ""


def use(project: Project, reference: str, nodes: Sequence[str] = ()) -> None:
    """Makes the rest of the run one with the bundle `reference`. NodekilnError if it cannot be used.

    nodes: the specs that are built, if any is named; the bundle must be that of one.
    """
    if reference in _used:
        return
    from pipeline.project import bundle_reader

    bundle = bundle_reader.find(reference)
    if nodes and bundle.node not in nodes:
        raise BadInput(f"{reference} is a bundle of {bundle.node}, not of {nodes[0]}")
    bundle_reader.apply_environment(bundle)
    new = bundle.put_into(project.store)
    is_new = bundle.is_for(project.store, project)
    files = bundle.write_project(project.store, project.root) if is_new else []
    if new:
        say(f"{reference}: {new} of {len(bundle.blobs)} blobs verified and put into the cache", error=True)
    if files:
        say(f"{reference}: {len(files)} files of the project written", error=True)
    else:
        _warn(project, bundle)
    go_offline()
    _used.add(reference)


def check_used(reference: str, task: str) -> None:
    """BadInput if `reference`, of the option of a task, was not used before tasks were made, as with a dodo.py."""
    if reference not in _used:
        raise BadInput(f"a dodo.py cannot see the option --{NAME}: {user_command(f'{task} {NAME}={reference}')}")


def _warn(project: Project, bundle: Bundle) -> None:
    """Prints a warning if the project's build is not that of the bundle, with the files that differ."""
    if (project.root / SPECS / f"{bundle.node}.yml").exists() and _keys(project, bundle) != bundle.config["keys"]:
        files = [*bundle.differences(project.store, project.root)]
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        reason = f"{', '.join(files[:NAMED])}{more} here" if files else f"nodekiln {__version__} or its environment"
        made = bundle.config.get("nodekiln")
        say(f"warning: {reason} differs from {bundle.reference} (nodekiln {made}): other bytes may result", error=True)


def _keys(project: Project, bundle: Bundle) -> dict[str, dict[str, str]]:
    """Returns the keys that the project's formats have now, for the architectures and formats of the bundle."""
    from pipeline.formats import known

    keys = {}
    try:
        for arch, formats in bundle.config["keys"].items():
            plan = project.target(bundle.node, arch).plan
            keys[arch] = {name: plan.format(name).key for name in formats if known(name)}
    except NodekilnError:  # which the build reports
        return {}
    return keys
