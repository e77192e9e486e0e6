"""Baselines: rules of others about a node's security, as data, and the judgement of facts by them.

A baseline is a file of `baselines/`, with the source of its rules. A rule compares one or several facts
(container_facts, node_facts) with words. A rule that a container host cannot follow says so in `hosts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pipeline.inspect.container_facts import KEYS, Words
from pipeline.inspect.node_facts import CMDLINE, MOUNT, SYSCTL
from pipeline.language import document
from pipeline.language.problem import Problem, Problems, Violations, suggestion
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import Key, kind, mapping, violations
from pipeline.model.errors import BadInput

SUFFIX = ".yml"
"""End of the name of a file with a baseline."""
FOLDER = Path(__file__).with_name("baselines")
CONTAINER = "container."
"""Prefix of the facts of containers. A rule about one is for each container."""
NODE_FACTS = ("root", "root-verity", "signed-programs", "unsigned-modules", "console-shells", "set-id-files")
"""Facts of the node without a prefix."""
FAMILIES = (CMDLINE, SYSCTL, MOUNT)


class Verdict(Enum):
    """The result of a rule for one fact."""

    HOLDS = "holds"
    WEAK = "weak"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    NOT_FOR_HOSTS = "not for container hosts"


@mapping
class Rule:
    """A rule. Exactly one of is, has, none-of, only and at-least compares; all facts have to pass."""

    id: str
    """Its identifier: the section of a benchmark, or the parameter that it is about."""
    fact: str | tuple[str, ...]
    """The facts that it is about."""
    reason: str
    """The harm that it prevents."""
    is_: Annotated[tuple[str, ...] | None, Key("is")] = None
    """The fact has words, and each is one of these."""
    has: tuple[str, ...] | None = None
    """The fact has all these words."""
    none_of: Annotated[tuple[str, ...] | None, Key("none-of")] = None
    """No word matches one of these patterns."""
    only: tuple[str, ...] | None = None
    """Each word matches one of these patterns."""
    at_least: Annotated[int | None, Key("at-least")] = None
    """The fact is a number, at least this one. 0: any number, or a word."""
    built_in: Annotated[tuple[str, ...] | None, Key("built-in")] = None
    """Lines of the kernel's configuration that do the same for a parameter which nothing sets; one that starts with `!`
    must not be there."""
    default: str | None = None
    """The kernel's own value of a parameter that nothing sets."""
    arch: tuple[Literal["amd64", "arm64"], ...] | None = None
    """Architectures that have it; all by default."""
    sections: tuple[Literal["onboot", "onshutdown", "services"], ...] | None = None
    """Sections of the spec whose containers it is about; all by default."""
    hosts: str | None = None
    """The reason why a host of containers cannot follow it."""
    set: str | None = None
    """The line of a spec that follows it. `{kept}` are the words of the fact that do not break the rule."""
    bind: str | None = None
    """The option with which a bind follows it."""

    @property
    def facts(self) -> tuple[str, ...]:
        return (self.fact,) if isinstance(self.fact, str) else self.fact

    @property
    def expected(self) -> str:
        """The comparison in words."""
        if self.is_ is not None:
            return " or ".join(word or "present" for word in self.is_)
        if self.has is not None:
            return " ".join(self.has)
        if self.none_of is not None:
            return "none" if self.none_of == ("*",) else f"not {shown(self.none_of)}"
        if self.only is not None:
            return f"only {shown(self.only)}"
        return f"at least {self.at_least}" if self.at_least else "a limit"

    def offending(self, words: Words) -> Words | None:
        """Returns the words that break the rule, or that lack, () if there ought to be some; None if it holds."""
        if self.is_ is not None:
            wrong = tuple(word for word in words if word not in self.is_)
            return wrong if wrong or not words else None
        if self.has is not None:
            return tuple(word for word in self.has if word not in words) or None
        if self.none_of is not None:
            return tuple(word for word in words if _matches(word, self.none_of)) or None
        if self.only is not None:
            return tuple(word for word in words if not _matches(word, self.only)) or None
        return None if words and all(_number(word) >= (self.at_least or 0) for word in words) else words

    def problems(self) -> Violations:
        tests = [self.is_, self.has, self.none_of, self.only, self.at_least]
        if sum(test is not None for test in tests) != 1:
            yield (), f"{self.id} compares with none or several of is, has, none-of, only and at-least", "one of them"
        known = [*NODE_FACTS, *(CONTAINER + name for name in KEYS)]
        for name in self.facts:
            if name not in known and not name.startswith(FAMILIES):
                yield ("fact",), f"{self.id}: there is no fact {name!r}", suggestion(name, known)
        if len({name.startswith(CONTAINER) for name in self.facts}) > 1:
            yield ("fact",), f"{self.id} is about the node and about containers", "a rule for each"


def shown(words: Words, most: int = 8) -> str:
    """Returns the words in one line; of many, the first ones."""
    rest = f" … and {len(words) - most} more" if len(words) > most else ""
    return " ".join(word or "present" for word in words[:most]) + rest


def _matches(word: str, patterns: Words) -> bool:
    return any(fnmatchcase(word, pattern) for pattern in patterns)


def _number(word: str) -> float:
    """Returns the number in a word; infinity for a word that is none."""
    try:
        return int(word)
    except ValueError:
        return float("inf")


@mapping
class Baseline:
    """The rules of one source, or of several that belong together."""

    title: str
    """Its name."""
    sources: tuple[str, ...]
    """Addresses of the texts that the rules come from, with their versions."""
    rules: tuple[Rule, ...]
    """The rules."""
    left_out: Annotated[str | None, Key("left-out")] = None
    """The part of the source that no rule is about, and the reason."""

    def problems(self) -> Violations:
        seen: set[str] = set()
        for number, rule in enumerate(self.rules):
            if rule.id in seen:
                yield ("rules", number, "id"), f"two rules have the identifier {rule.id!r}", ""
            seen.add(rule.id)


class Judged(NamedTuple):
    """A rule and one of its facts.

    subject: "" for the node, else a container. words: the fact; None if it is unknown. offending: the words that break
    the rule. by_kernel: the rule holds because the kernel does so where nothing sets it.
    """

    rule: Rule
    fact: str
    subject: str
    words: Words | None
    verdict: Verdict
    offending: Words = ()
    by_kernel: bool = False


def names() -> tuple[str, ...]:
    """Returns the names of the baselines that come with nodekiln, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}")))


def find(name: str) -> Baseline:
    """Returns the baseline `name`, or that in the file of this path. BadInput if there is none."""
    if name.endswith(SUFFIX):
        return read(Path(name))
    if name not in names():
        hint = suggestion(name, names()) or f"there are {', '.join(names())}"
        raise BadInput(f"there is no baseline {name!r} ({hint})")
    return read(FOLDER / f"{name}{SUFFIX}")


def read(path: Path) -> Baseline:
    """Reads a file with a baseline. Problems with everything that is wrong in it."""
    try:
        unsafe_text = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    node, reader = document.parse(unsafe_text, str(path)), Reader()
    if node is None:
        raise document.problem_at(str(path), 1, 1, "the file says nothing", "title, sources and rules")
    try:
        baseline: Baseline = reader.read(kind(Baseline), node, ())
    except InvalidValue:
        raise Problems(reader.problems) from None
    wrong = [Problem(reader.place(at), message, hint) for at, message, hint in violations(baseline)]
    if problems := [*reader.problems, *wrong]:
        raise Problems(problems)
    return baseline


def judge_node(baseline: Baseline, fact: Callable[[str], Words | None], config: str, arch: str) -> Iterator[Judged]:
    """Yields the rules about the node. fact: returns a fact by its name. config: the kernel's configuration, or ""."""
    lines = {*config.splitlines()}
    for rule in baseline.rules:
        for name in rule.facts if arch in (rule.arch or (arch,)) else ():
            if not name.startswith(CONTAINER):
                words = fact(name)
                by_kernel = words == () and _by_kernel(rule, lines)
                yield (
                    Judged(rule, name, "", words, Verdict.HOLDS, (), True)
                    if by_kernel
                    else _judged(rule, name, "", words)
                )


def judge_container(
    baseline: Baseline, section: str, subject: str, facts: Mapping[str, Words | None]
) -> Iterator[Judged]:
    """Yields the rules about containers, for the container `subject` in `section` with these facts."""
    for rule in baseline.rules:
        for name in rule.facts if section in (rule.sections or (section,)) else ():
            if name.startswith(CONTAINER):
                yield _judged(rule, name, subject, facts[name.removeprefix(CONTAINER)])


def _by_kernel(rule: Rule, config: set[str]) -> bool:
    """Returns True if the kernel follows the rule where nothing sets the parameter."""
    if rule.default is not None and rule.offending((rule.default,)) is None:
        return True
    lines = rule.built_in or ()
    return bool(lines and config) and all(
        (line[1:] not in config) if line[0] == "!" else line in config for line in lines
    )


def _judged(rule: Rule, name: str, subject: str, words: Words | None) -> Judged:
    offending = None if words is None else rule.offending(words)
    if offending is None:
        verdict = Verdict.UNKNOWN if words is None else Verdict.HOLDS
    else:
        verdict = Verdict.NOT_FOR_HOSTS if rule.hosts else Verdict.WEAK
    return Judged(rule, name, subject, words, verdict, offending or ())
