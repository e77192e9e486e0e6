"""doit formats: the outputs that a spec can have, and what boots each."""

from __future__ import annotations

from pipeline.host.terminal import say
from pipeline.project.project import Project
from pipeline.tasks.command import command


@command("the formats for build.formats and build:NODE:FORMAT, and what boots each", names=None)
def run(project: Project) -> None:
    """Prints a line for each format: its name, what boots it, and what it is."""
    from pipeline import formats

    known = [formats.find(name) for name in formats.names()]
    wide = max(len(each.name) for each in known)
    wider = max(len(each.firmware.value) for each in known)
    for each in known:
        say(f"{each.name:{wide}}  {each.firmware.value:{wider}}  {each.summary}")
    disks = ", ".join(each.name for each in known if each.drive and each.drive.compressible)
    say(f"with {' or '.join(f'.{ending}' for ending in formats.ENDINGS)} behind its name, compressed: {disks}")
