"""doit trust: the rules about the images of a spec, and who has signed them (docs/how-to/trust.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import printable, say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.planning.lock import Lock
    from pipeline.planning.signatures import Required, Signed
    from pipeline.planning.trust_policy import Requirement
    from pipeline.project.targets import Target

DAY = 86400
"""Seconds."""
SOON = 90
"""Days before the end of a signature in which it is named."""


@command(
    "which rule covers each image of a spec, who has signed it, and what expires",
    update_root="show what this file would change as the root of keyless signatures; nothing is written",
)
def run(project: Project, names: Sequence[str], update_root: str = "") -> None:
    """Prints a line for each image that rules are about, with its signers below, then the images that none covers, and
    the suites that recipes have their packages from, with the signers of the archive.
    """
    for name in names:
        targets, known = project.targets(name), project.signed(name)
        say(f"{project.path(name)}:")
        for target in targets:
            target.plan.missing(*target.spec.build.formats)  # plans the images that they need, too
        required = {ref: rules for target in targets for ref, rules in target.plan.images.required.items()}
        shown = _with_root(known, required, update_root) if update_root else _table(known, required, _images(targets))
        for line in (*shown, *([] if update_root else _archives(known.lock, targets))):
            say(printable(f"  {line}"))
        for warning in _old_roots(targets):
            say(printable(f"warning: {warning}"), error=True)


def _table(known: Signed, required: Required, images: set[str]) -> Iterator[str]:
    """Yields the lines about images: those with rules, with their signers, then the others."""
    for reference in sorted(required):
        for rule in required[reference]:
            yield f"{reference}: {rule.rule} ({rule.place}): {_needs(rule)}"
            yield from (f"  {line}" for line in _signers(known, reference, rule))
    for reference in sorted(images - required.keys()):
        yield f"{reference}: no rule needs a signature"


def _old_roots(targets: Sequence[Target]) -> list[str]:
    """Returns a warning for each root that is old now."""
    from datetime import UTC, datetime

    from pipeline.planning import root_age

    policies = [target.plan.images.policy for target in targets]
    now = datetime.now(UTC)
    return [*dict.fromkeys(str(each) for policy in policies if policy for each in root_age.warnings(policy, now))]


def _archives(lock: Lock, targets: Sequence[Target]) -> Iterator[str]:
    """Yields a line for each suite that recipes have packages from, with those recipes, and its signers below."""
    recipes = {(each.name, each.arch) for target in targets for each in target.plan.images.wanted if each.folder}
    suites: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for recipe, arch in sorted(recipes):
        archives = lock.archives(recipe, arch)
        if not archives:
            update = user_command(f"lock --update {recipe}")
            suites.setdefault(("recipes without a locked signer of their archive", (update,)), {})[recipe] = None
        dates = lock.packages.get(recipe, {}).get(arch, {}).get("dates", {})
        for suite, archive in sorted(archives.items()):
            signers = tuple(f"{each['fingerprint']}: {each['user']}" for each in archive["signers"])
            suites.setdefault((f"{suite} of {dates.get(suite, '?')}", signers), {})[recipe] = None
    for (title, lines), names in suites.items():
        yield f"{title}: {', '.join(names)}"
        yield from (f"  {line}" for line in lines)


def _with_root(known: Signed, required: Required, path: str) -> Iterator[str]:
    """Yields the differences of the roots of rules from another one, and which locked signatures hold with it.

    BadInput if `path` is no root.
    """
    from pipeline.planning import signatures
    from pipeline.trust import root, root_difference

    text = _read(path)
    now, seen = root.parse(text.encode()), set[str]()
    for reference in sorted(required):
        for rule in required[reference]:
            for before in {each["root"]: None for each in rule.signers if "root" in each}.keys() - seen:
                seen.add(before)
                yield from root_difference.differences(root.parse(before.encode()), now) or ["the same root"]
            changed = tuple({**each, "root": text} if "root" in each else each for each in rule.signers)
            after = {each.claim for each in signatures.verified(known, reference, rule._replace(signers=changed))}
            for each in signatures.verified(known, reference, rule):
                verdict = "holds with it" if each.claim in after else "does not hold with it"
                yield f"{reference}: {signatures.described(each.signer)} {verdict}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}") from None


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
