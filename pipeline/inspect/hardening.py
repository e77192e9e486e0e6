"""Hardening: a node's posture compared with baselines, as findings with their places, and as a report.

A finding that is weak has the place of the spec that weakens the node, and the line that would set it right.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.container.capabilities import CAPABILITIES
from pipeline.host.terminal import printable
from pipeline.inspect import baseline as baselines
from pipeline.inspect.baseline import CONTAINER, Baseline, Judged, Verdict, shown
from pipeline.inspect.container_facts import HOST, NAMESPACES, RISKY, Words
from pipeline.inspect.node_facts import CMDLINE, MOUNT, SYSCTL
from pipeline.inspect.posture import NO_STEP, Container, Origin, Posture
from pipeline.inspect.report import Table, aligned
from pipeline.model.errors import BadInput

WIDTH = 110
"""Maximum width of a line, in characters."""
NODE = "node"
"""Subject of findings about the node itself."""
SHOWN_MOUNTS = ("/tmp", "/run", "/var", "/dev/shm", "/proc", "/sys")
"""Mounts of the node in the table."""
OWN_FILE = "etc/sysctl.d/90-local.conf"
"""The file of a spec that a line to set a kernel parameter is for."""


STEP = 'onboot: [{name: sysctl, image: "@pkg:images/sysctl"}]'
"""The line of a spec with which a node sets kernel parameters."""


class Finding(NamedTuple):
    """A rule of a baseline and its result for the node or a container. verdict: as `accept` leaves it."""

    baseline: str
    judged: Judged
    verdict: Verdict
    origin: Origin
    container: Container | None = None

    @property
    def name(self) -> str:
        return f"{self.baseline}:{self.judged.rule.id}"

    @property
    def subject(self) -> str:
        return self.judged.subject or NODE

    @property
    def value(self) -> str:
        """The fact in words."""
        if self.judged.words is None:
            return "unknown"
        if self.judged.by_kernel:
            return "the kernel's own value"
        return shown(self.judged.offending or self.judged.words) or "not set"

    @property
    def remedy(self) -> str:
        """The line of the spec that sets it right; "" if there is none."""
        rule, fact = self.judged.rule, self.judged.fact
        if rule.set is not None:
            kept = [word for word in self.judged.words or () if word not in self.judged.offending]
            return self._merged(rule.set.replace("{kept}", ", ".join(kept) or "none"))
        if rule.bind is not None:
            binds = self.container.binds(self.judged.offending, rule.bind) if self.container else []
            return f"binds: {json.dumps(binds)}" if binds else ""
        value = next(iter(rule.is_ or rule.has or ()), "")
        if fact.startswith(CMDLINE):
            name = fact.removeprefix(CMDLINE)
            return f'kernel: {{cmdline: "… {name}{f"={value}" if value else ""}"}}'
        if fact.startswith(SYSCTL):
            key = fact.removeprefix(SYSCTL)
            if self.origin.text == NO_STEP:
                return STEP
            return f'files: [{{path: {OWN_FILE}, contents: "{key} = {value}\\n", mode: "0644"}}]'
        return ""

    def _merged(self, line: str) -> str:
        """Returns the line `key: value`, where a mapping also has what the container's own has under that key."""
        import yaml

        key, _, text = line.partition(": ")
        own = self.container.merged.get(key) if self.container else None
        return f"{key}: {json.dumps(own | yaml.safe_load(text))}" if isinstance(own, dict) else line

    def as_json(self) -> dict[str, Any]:
        rule = self.judged.rule
        return {
            "baseline": self.baseline,
            "rule": rule.id,
            "subject": self.subject,
            "fact": self.judged.fact,
            "verdict": self.verdict.value,
            "value": None if self.judged.words is None else [*self.judged.words],
            "by-kernel": self.judged.by_kernel,
            "offending": [*self.judged.offending],
            "expected": rule.expected,
            "reason": rule.reason,
            "not-for-hosts": rule.hosts,
            "place": self.origin.place,
            "origin": self.origin.text,
            "set": self.remedy if self.verdict is Verdict.WEAK else "",
        }


class Hardening(NamedTuple):
    """The posture of a node, and what baselines find about it."""

    posture: Posture
    baselines: Mapping[str, Baseline]
    findings: Sequence[Finding]

    @property
    def weak(self) -> list[Finding]:
        return [each for each in self.findings if each.verdict is Verdict.WEAK]

    def as_json(self) -> dict[str, Any]:
        """JSON: the facts of the node and of each container, and the findings."""
        node = self.posture.node
        return {
            "node": self.posture.title,
            "arch": self.posture.arch,
            "cmdline": node.cmdline,
            "sysctls": {line.key: line.value for line in node.sysctls},
            "facts": {name: _json(words) for name, words in node.facts.items()},
            "containers": {
                each.name: {name: _json(words) for name, words in each.facts.items()}
                for each in self.posture.containers
            },
            "baselines": {
                name: {"title": each.title, "sources": [*each.sources]} for name, each in self.baselines.items()
            },
            "findings": [each.as_json() for each in self.findings],
        }

    def text(self, every: bool = False) -> str:
        """The report for a terminal. every: with rules that hold, or that are not for container hosts."""
        lines = [self.posture.title]
        for table in tables(self.posture):
            lines += ["", table.title, *(f"  {line}" for line in table.lines())]
        lines += ["", "baselines", *(f"  {line}" for line in self._summary())]
        groups: dict[tuple[str, str, Verdict], list[Finding]] = {}
        for each in self.findings if every else self.weak:
            groups.setdefault((each.name, each.judged.fact if each.container else "", each.verdict), []).append(each)
        for group in groups.values():
            lines += ["", *_block(group)]
        return "\n".join(printable(line) for line in lines) + "\n"

    def _summary(self) -> list[str]:
        counts = {name: Counter[Verdict]() for name in self.baselines}
        for each in self.findings:
            counts[each.baseline][each.verdict] += 1
        rows = [(name, *(counts[name][verdict] for verdict in Verdict)) for name in self.baselines]
        return aligned(rows, ("", *(verdict.value for verdict in Verdict)))


def harden(posture: Posture, names: Iterable[str], accept: Iterable[str] = ()) -> Hardening:
    """Returns the findings of the baselines `names`; one in a file is called as that, without its folder and ending.

    accept: findings that are not weak: `BASELINE:RULE`, or `BASELINE:RULE@SUBJECT` for one container or the node.
    BadInput for one that is about no finding, so that no misspelled word hides anything.
    """
    chosen = {name.rpartition("/")[2].removesuffix(baselines.SUFFIX): baselines.find(name) for name in names}
    findings = [finding for name in chosen for finding in _findings(posture, name, chosen[name])]
    words = {*accept}
    if unused := words - {word for each in findings for word in (each.name, f"{each.name}@{each.subject}")}:
        raise BadInput(f"there is no finding {min(unused)!r} to accept: BASELINE:RULE or BASELINE:RULE@CONTAINER")
    return Hardening(posture, chosen, [_accepted(each, words) for each in findings])


def _accepted(finding: Finding, words: set[str]) -> Finding:
    accepted = not words.isdisjoint({finding.name, f"{finding.name}@{finding.subject}"})
    return finding._replace(verdict=Verdict.ACCEPTED) if accepted and finding.verdict is Verdict.WEAK else finding


def _findings(posture: Posture, name: str, baseline: Baseline) -> Iterator[Finding]:
    for judged in baselines.judge_node(baseline, posture.node.fact, posture.config, posture.arch):
        yield Finding(name, judged, judged.verdict, posture.origin(judged.fact, judged.offending))
    for container in posture.containers:
        for judged in baselines.judge_container(baseline, container.section, container.name, container.facts):
            word = next(iter(judged.offending), "")
            origin = container.origin(judged.fact.removeprefix(CONTAINER), word)
            yield Finding(name, judged, judged.verdict, origin, container)


def _block(findings: Sequence[Finding]) -> Iterator[str]:
    """Yields the lines about the findings of a rule: what it expects, each place, and what sets it right."""
    rule, verdict = findings[0].judged.rule, findings[0].verdict
    yield from _lines(f"{verdict.value}: {findings[0].name}: {rule.reason}", 0)
    if verdict is Verdict.NOT_FOR_HOSTS:
        yield from _lines(f"because {rule.hosts}", 2)
    yield from _lines(f"expected: {rule.expected}", 2)
    remedy = ""
    for each in findings:
        origin = f" ({each.origin.text})" * bool(each.origin.text)
        fact = each.judged.fact.removeprefix(CONTAINER)
        yield from _lines(f"{each.origin.place} {each.subject}: {fact}: {each.value}{origin}", 2)
        if verdict is Verdict.WEAK and each.remedy not in ("", remedy):
            remedy = each.remedy
            yield f"    {remedy}"


def _lines(text: str, indent: int) -> list[str]:
    first, rest = " " * indent, " " * (indent + 2)
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def tables(posture: Posture) -> Iterator[Table]:
    """Yields the tables of the facts: containers, what they may do on the node, and the node itself."""
    columns = (
        "container", "user", "seccomp", "no-new-priv", "masked", "root", "shares with node", "pids", "memory", "ports",
    )  # fmt: skip
    yield Table("containers", columns, [_row(each) for each in posture.containers])
    rights = [row for each in posture.containers for row in _rights(each)]
    yield Table("rights on the node (! marks risky capabilities)", ("container", "right", "to"), rights)
    yield Table("the node", (), [*_node(posture)])


def _row(container: Container) -> tuple[str, ...]:
    facts = container.facts
    shared = [key for key in NAMESPACES if facts[key] == (HOST,)]
    return (
        container.name,
        _word(facts["user"]),
        "on" if facts["seccomp"] else "off",
        "on" if facts["no-new-privileges"] else "off",
        str(len((*(facts["masked-paths"] or ()), *(facts["read-only-paths"] or ())))),
        _word(facts["root"]),
        " ".join(shared) or "nothing",
        _word(facts["pids-limit"], "no limit"),
        _word(facts["memory-limit"], "no limit"),
        _word(facts["ports"], "unknown"),
    )


def _word(words: Words | None, empty: str = "") -> str:
    return " ".join(words or ()) or empty


def _rights(container: Container) -> Iterator[tuple[str, str, str]]:
    """Yields the rows of a container: its capabilities, binds, devices and set-id programs, in lines that fit."""
    facts = container.facts
    writable = {*(facts["writable-binds"] or ())}
    binds = [path + " (rw)" * (path in writable) for path in facts["binds"] or ()]
    rows = {
        "capabilities": _capabilities(facts["capabilities"] or ()),
        "binds": binds,
        "devices": facts["devices"] or (),
        "set-id": facts["set-id-files"] or (),
    }
    name = container.name
    for title, words in rows.items():
        for line in textwrap.wrap(", ".join(words), WIDTH // 2 + 10, break_long_words=False, break_on_hyphens=False):
            yield name, title, line
            name = title = ""


def _capabilities(names: Words) -> list[str]:
    if {*names} >= {*CAPABILITIES}:
        return ["all!"]
    return [name.removeprefix("CAP_") + "!" * (name in RISKY) for name in names] or ["none"]


def _node(posture: Posture) -> Iterator[tuple[str, str]]:
    node = posture.node
    yield from _wrapped("command line", "unknown" if node.cmdline is None else node.cmdline or "empty")
    for name, words in node.facts.items():
        yield from _wrapped(name, "unknown" if words is None else shown(words) or "none")
    yield from _wrapped("sysctls", f"{len({line.key for line in node.sysctls})} parameters")
    for path in SHOWN_MOUNTS:
        words = node.fact(MOUNT + path)
        yield from _wrapped(f"mount {path}", "unknown" if words is None else ",".join(words))


def _wrapped(title: str, text: str) -> Iterator[tuple[str, str]]:
    for line in textwrap.wrap(text, WIDTH - 25, break_on_hyphens=False):
        yield title, line
        title = ""


def _json(words: Words | None) -> list[str] | None:
    return None if words is None else [*words]
