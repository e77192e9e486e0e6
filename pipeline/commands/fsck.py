"""doit fsck: read the whole store and compare every object with its name."""

from __future__ import annotations

from pipeline.host.terminal import say
from pipeline.model.errors import NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command


class DamageFound(NodekilnError):
    """The store had objects whose contents did not match their names."""


@command("verify every object of the cache; what is damaged is removed, and made again when it is needed", names=None)
def run(project: Project) -> None:
    """Checks the store; DamageFound (exit code 1) names what was removed."""
    from pipeline.engine import fsck, gc

    if damages := fsck.check(project.store):
        damaged = [f"removed {damage.what}" for damage in damages if not damage.derived]
        derived = f", and {len(damages) - len(damaged)} results of theirs" if len(damages) > len(damaged) else ""
        counted = f"{len(damaged)} damaged objects{derived}: the next build makes them again"
        raise DamageFound("\n".join([*damaged, counted]))
    say(f"{sum(1 for _ in gc.blobs(project.store))} blobs are what their names say")
