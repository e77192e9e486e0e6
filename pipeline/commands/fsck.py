"""doit fsck: read the whole store and compare every object with its name."""

from __future__ import annotations

from pipeline.host.terminal import say
from pipeline.model.errors import NodekilnError
from pipeline.project.project import Project

DOC = "verify every object of the cache; what is damaged is removed, and made again when it is needed"
PARAMS: list[dict[str, object]] = []


class DamageFound(NodekilnError):
    """The store had objects that were not what their names say."""


def run_all(project: Project) -> None:
    """Check the store; DamageFound (exit code 1) names what was removed."""
    from pipeline.engine import fsck, gc

    found = fsck.check(project.store)
    if found:
        damaged = [f"removed {damage.what}" for damage in found if not damage.derived]
        derived = f", and {len(found) - len(damaged)} results of theirs" if len(found) > len(damaged) else ""
        counted = f"{len(damaged)} damaged objects{derived}: the next build makes them again"
        raise DamageFound("\n".join([*damaged, counted]))
    say(f"{sum(1 for _ in gc.blobs(project.store))} blobs are what their names say")
