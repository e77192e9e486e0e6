"""The age of the roots of keyless signatures. Logs and authorities change, and an old root lacks the new ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pipeline.host import tracked
from pipeline.host.user_command import user_command
from pipeline.language.problem import Problem
from pipeline.planning.trust_policy import RuleFile, TrustPolicy, find_file
from pipeline.trust import root
from pipeline.trust.error import SignatureRefusal

LARGEST_AGE = timedelta(days=365)
"""Age of the newest key of a root, above which there is a warning."""


def warnings(policy: TrustPolicy, now: datetime) -> list[Problem]:
    """Returns a warning for each signer of a rule whose root has no key that is younger than LARGEST_AGE at `now`.

    A file that is no root has none: it is an error where an image needs it.
    """
    return [problem for file in (policy.project, policy.spec) for problem in _old(file, now)]


def _old(file: RuleFile, now: datetime) -> Iterator[Problem]:
    for number, rule in enumerate(file.rules.rules):
        for index, signer in enumerate(rule.signers):
            if signer.root is None:
                continue
            newest = _newest(file, signer.root)
            if newest is not None and now - newest > LARGEST_AGE:
                yield Problem(
                    file.where(("rules", number, "signers", index, "root")),
                    f"the newest key of {signer.root!r} is of {newest:%Y-%m-%d}, more than a year ago",
                    f"{user_command('trust --update-root FILE')} shows what a newer root changes",
                )


def _newest(file: RuleFile, name: str) -> datetime | None:
    """Returns when the newest key of the root `name` became valid; None without keys, or if it is no root."""
    try:
        return root.newest(root.parse(tracked.contents(find_file(name, file.folder) or name)))
    except (OSError, SignatureRefusal):
        return None
