"""doit trust: the rules about the images of a spec, and who has signed them (docs/how-to/trust.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.host.terminal import printable, say
from pipeline.host.user_command import user_command
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.planning.signatures import Signed
    from pipeline.planning.trust_policy import Requirement
    from pipeline.project.targets import Target

DAY = 86400
"""Seconds."""
SOON = 90
"""Days before the end of a signature in which it is named."""


@command("which rule covers each image of a spec, who has signed it, and what expires")
def run(project: Project, names: Sequence[str]) -> None:
    """Prints a line for each image that rules are about, with its signers below, then the images that none covers."""
    for name in names:
        targets, known = project.targets(name), project.signed(name)
        say(f"{project.path(name)}:")
        for target in targets:
            target.plan.missing(*target.spec.build.formats)  # plans the images that they need, too
        required = {ref: rules for target in targets for ref, rules in target.plan.images.required.items()}
        for reference in sorted(required):
            for rule in required[reference]:
                say(printable(f"  {reference}: {rule.rule} ({rule.place}): {_needs(rule)}"))
                for line in _signers(known, reference, rule):
                    say(printable(f"    {line}"))
        for reference in sorted(_images(targets) - required.keys()):
            say(printable(f"  {reference}: no rule needs a signature"))


def _images(targets: Sequence[Target]) -> set[str]:
    """Returns the references of all images that come from elsewhere."""
    return {each.name for target in targets for each in target.plan.images.wanted if not each.folder}


def _needs(rule: Requirement) -> str:
    return f"{rule.need} of {', '.join(rule.titles)}"


def _signers(known: Signed, reference: str, rule: Requirement) -> Iterator[str]:
    """Yields a line for each locked signature of an image that counts for a rule, verified again."""
    from pipeline.planning import signatures

    records = {each["evidence"]: each for each in known.lock.signatures(reference) if each["rule"] == rule.rule}
    there = 0
    for each in signatures.verified(known, reference, rule):
        if record := records.get(each.claim.evidence.digest):
            there += 1
            yield f"{record['signer']}: {record['kind']}, verified as of {record['time']}{_end(each.until)}"
    if there < rule.need:
        yield f"lacks {rule.need - there}: {user_command('lock')}"


def _end(until: int | None) -> str:
    """Returns when a signature expires, and a warning if that is soon; "" for never."""
    if until is None:
        return ""
    from datetime import UTC, datetime

    day = datetime.fromtimestamp(until, UTC)
    left = (until - int(time.time())) // DAY
    note = f": {left} days left" if 0 <= left < SOON else ": expired" if left < 0 else ""
    return f", until {day:%Y-%m-%d}{note}"
