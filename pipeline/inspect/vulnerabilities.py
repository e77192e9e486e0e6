"""Vulnerabilities of a node: its packages, by advisories.

Advisories are about source packages. A package is compared in its own distribution and release alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.inspect.advisories import ALPINE, CODENAMES, SEVERITIES, Advisory
from pipeline.model.errors import BadInput
from pipeline.model.origins import Origin
from pipeline.stages.inventory import Inventory

JUSTIFICATIONS = (
    "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
)  # fmt: skip
"""Reasons for which a vulnerability does not count (VEX status justifications)."""
ACCEPTED = re.compile(r"([A-Za-z]+-[A-Za-z0-9-]+)(?:@([a-z0-9][a-z0-9+.-]*))?(?::([a-z_]+))?")
"""NAME[@SOURCE][:JUSTIFICATION]."""
SIGNED = re.compile(r"(linux)-signed(-[a-z0-9]+)?")
"""Source packages that only carry signatures. Advisories are about the source that the first group names."""


class Accepted(NamedTuple):
    """A vulnerability that does not count, of one source package or ("") of any."""

    name: str
    source: str = ""
    justification: str = ""


class Vulnerability(NamedTuple):
    """A vulnerability of a source package in a node, and the packages of that source."""

    name: str
    severity: str
    source: str
    version: str
    fixed: str
    packages: tuple[str, ...]
    accepted: Accepted | None = None

    def __str__(self) -> str:
        remedy = f"fixed in {self.fixed}" if self.fixed else "no fix"
        reason = ""
        if self.accepted:
            reason = f", accepted: {self.accepted.justification}" if self.accepted.justification else ", accepted"
        packages = ", ".join(self.packages)
        return f"{self.severity:11} {self.name}  {self.source} {self.version} ({remedy}{reason}): {packages}"


class Report(NamedTuple):
    """The vulnerabilities of a node, the worst first. unexamined: packages that no advisory can be about."""

    title: str
    vulnerabilities: tuple[Vulnerability, ...]
    unexamined: tuple[str, ...]
    unused: tuple[Accepted, ...]

    def counted(self, threshold: str) -> list[Vulnerability]:
        """Returns those of at least the severity `threshold` that are not accepted."""
        least = SEVERITIES.index(threshold)
        return [each for each in self.vulnerabilities if not each.accepted and SEVERITIES.index(each.severity) >= least]


def accepted(words: Iterable[str]) -> list[Accepted]:
    """Returns the meaning of words NAME[@SOURCE][:JUSTIFICATION]. BadInput."""
    result = []
    for word in words:
        match = ACCEPTED.fullmatch(word)
        if not match:
            raise BadInput(f"--accept: {word!r} is not NAME[@SOURCE][:JUSTIFICATION]: CVE-2024-1234@glibc")
        name, source, reason = (group or "" for group in match.groups())
        if reason and reason not in JUSTIFICATIONS:
            raise BadInput(f"--accept: {reason!r} is not a justification: {', '.join(JUSTIFICATIONS)}")
        result.append(Accepted(name, source, reason))
    return result


def report(title: str, node: Inventory, advisories: Sequence[Advisory], accept: Sequence[Accepted]) -> Report:
    """Returns the vulnerabilities of a node's packages. BadInput if the advisories are about no release that it has."""
    known: dict[tuple[str, str, str], list[Advisory]] = {}
    for advisory in advisories:
        known.setdefault((advisory.distribution, advisory.release, advisory.source), []).append(advisory)
    covered = {key[:2] for key in known}
    groups: dict[tuple[str, str, str, str], set[str]] = {}
    unexamined = set()
    for part in node.parts:
        if part.origin.kind in ("deb", "apk") and _releases(part.origin) & covered:
            groups.setdefault(_group(part.origin), set()).add(part.origin.name)
        elif part.origin.kind in ("deb", "apk"):
            unexamined.add(f"{part.origin.name} ({part.origin.distribution} {part.origin.release})")
    if unexamined and not groups:
        raise BadInput(f"{title}: the database has nothing about {min(unexamined).partition(' (')[2].rstrip(')')}")
    found = [each for group, names in groups.items() for each in _of_source(group, names, known, accept)]
    found.sort(key=lambda each: (-SEVERITIES.index(each.severity), each.source, each.name))
    used = {each.accepted for each in found}
    return Report(title, tuple(found), tuple(sorted(unexamined)), tuple(each for each in accept if each not in used))


def _releases(origin: Origin) -> set[tuple[str, str]]:
    """Returns distribution and release of a package, by each of the release's names."""
    return {(origin.distribution, name) for name in _names(origin.distribution, origin.release)}


def _names(distribution: str, release: str) -> set[str]:
    """Returns the names of a release in databases: its codename and its number; `v3.20` for Alpine 3.20.1."""
    branch = {"v" + ".".join(release.split(".")[:2])} if distribution == ALPINE else set()
    return {release, CODENAMES.get(release, release), *branch}


def _group(origin: Origin) -> tuple[str, str, str, str]:
    """Returns distribution, release, source and its version."""
    if match := SIGNED.fullmatch(origin.source):
        return origin.distribution, origin.release, match[1], origin.version
    return origin.distribution, origin.release, origin.source, origin.source_version


def _of_source(
    group: tuple[str, str, str, str],
    names: set[str],
    known: Mapping[tuple[str, str, str], Sequence[Advisory]],
    accept: Sequence[Accepted],
) -> list[Vulnerability]:
    """Returns the vulnerabilities of a source package, each once, with its worst severity."""
    distribution, release, source, version = group
    worst: dict[str, Advisory] = {}
    for name in sorted(_names(distribution, release)):
        for each in known.get((distribution, name, source), ()):
            other = worst.get(each.name)
            if each.affects(version) and (other is None or _rank(other) < _rank(each)):
                worst[each.name] = each
    return [
        Vulnerability(
            each.name,
            each.severity,
            source,
            version,
            each.fixed,
            tuple(sorted(names)),
            next((one for one in accept if one.name == each.name and one.source in ("", source)), None),
        )
        for each in worst.values()
    ]


def _rank(advisory: Advisory) -> int:
    return SEVERITIES.index(advisory.severity)
