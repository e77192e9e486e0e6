"""Policy: rules about who must have signed an image, by its name. Values alone: no file is read.

A rule has patterns of names, the signers that count, and how many different ones are needed. Of several rules of a file
that match a name, the one with the longest literal prefix (the characters before the first `*`) holds.

Two files have rules: the project's (specs/trust.yml) and the spec's (`trust:`). The rules of both have to hold, so that
a spec can tighten what the project asks for and never loosen it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

from pipeline.language.kinds import Pattern, Range
from pipeline.language.problem import Violations
from pipeline.language.schema import Key, mapping
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.signer import Signer

LARGEST_NEED = 100
"""Maximum number of signers that a rule may need: as many signatures as are read of an image."""
TRANSPORTS = ("oci:", "docker-archive:")
"""Starts of the names of images on the host, before the path."""

_HOST = re.compile(r"localhost|.*[.:*].*")
"""A first component of a name that is a registry, or has a wildcard."""
_WILDCARD = re.compile(r"\*+")

NamePattern = Annotated[str, Pattern(r"[^\s@]+", "a pattern of image names without tag or digest (ghcr.io/acme/**)")]


@mapping
class Keyless:
    """A signer with a certificate that was issued for one signature (Sigstore, Fulcio)."""

    issuer: str
    """The identity provider that vouched for the signer, literally: `https://token.actions.githubusercontent.com`."""
    identity: str | None = None
    """The signer's identity in the certificate (an email address or URI), literally."""
    identity_pattern: Annotated[str | None, Key("identity-pattern")] = None
    """A pattern in place of `identity`, matched as a whole: `*` within a path component, `**` across them."""

    def problems(self) -> Violations:
        if not self.issuer:
            yield ("issuer",), "the issuer is empty", ""
        if (self.identity is None) == (self.identity_pattern is None):
            yield (), "needs exactly one of identity and identity-pattern", ""
        if self.identity == "":
            yield ("identity",), "the identity is empty", ""
        if self.identity is not None and "*" in self.identity:
            yield ("identity",), "an identity is literal, and has a '*'", "identity-pattern: takes wildcards"
        if self.identity_pattern is not None:
            yield from _wrong_wildcards(("identity-pattern",), self.identity_pattern)

    def accepts(self, identity: str) -> bool:
        """Returns whether a certificate for `identity` is one of this signer."""
        if self.identity is not None:
            return identity == self.identity
        return matches(self.identity_pattern or "", identity)


@mapping
class AllowedSigner:
    """A signer whose signatures count: a key, an identity, or a certificate."""

    cosign: str | None = None
    """File of a public key in PEM, of `cosign generate-key-pair` or openssl."""
    keyless: Keyless | None = None
    """A signer without a key of its own, by identity. Needs `root`."""
    root: str | None = None
    """File of the trusted root of `keyless` (trusted_root.json): the authorities' certificates, and the logs' keys."""
    notation: str | None = None
    """Folder of a trust store, as notation has it: the authorities' certificates in `x509/ca/NAME/FILE`."""
    subject: str | None = None
    """Attributes that the subject of the certificate has for `notation`: `CN=…,O=…,ST=…,C=…`. Needed."""

    @property
    def title(self) -> str:
        """The signer in few words, for messages."""
        if self.keyless:
            return self.keyless.identity or self.keyless.identity_pattern or ""
        return self.cosign or self.subject or ""

    @property
    def is_open(self) -> bool:
        """True if several signers can be meant."""
        return self.keyless is not None and self.keyless.identity is None

    def problems(self) -> Violations:
        kinds = [name for name in ("cosign", "keyless", "notation") if getattr(self, name) is not None]
        if len(kinds) != 1:
            yield (), "needs exactly one of cosign, keyless and notation", ""
            return
        for name, kind in (("root", "keyless"), ("subject", "notation")):
            if kinds == [kind] and not getattr(self, name):
                yield (kind,), f"{name!r} is missing beside {kind}", ""
            elif kinds != [kind] and getattr(self, name) is not None:
                yield (name,), f"{name!r} has no meaning beside {kinds[0]}", f"it belongs to {kind}"
        if kinds == ["notation"] and self.subject:
            from pipeline.trust import distinguished_name

            try:
                distinguished_name.identity(self.subject)
            except SignatureRefusal as error:
                yield ("subject",), str(error), ""


@mapping
class Rule:
    """Images, by patterns of their names, and the signers that they need."""

    match: tuple[NamePattern, ...]
    """Patterns of whole names (registry/repository, or `oci:DIR`), without tag: `*` stands for characters within a
    path component, `**` for any. The rule with the longest literal prefix holds."""
    need: Annotated[int, Range(0, LARGEST_NEED)] = 1
    """Number of different signers that must have signed; `0`, without `signers`, accepts images as they are."""
    signers: tuple[AllowedSigner, ...] = ()
    """The signers that count."""

    def problems(self) -> Violations:
        if not self.match:
            yield ("match",), "match is empty", "name images: [ghcr.io/acme/**]"
        for number, pattern in enumerate(self.match):
            yield from _wrong_pattern(("match", number), pattern)
            if pattern in self.match[:number]:
                yield ("match", number), f"{pattern!r} stands twice", ""
        if self.need == 0 and self.signers:
            yield ("need",), "need: 0 accepts images without a signature, so signers have no meaning", ""
        elif self.need and not self.signers:
            yield (), "names no signers", "signers: [{cosign: trust/release.pub}]; need: 0 accepts images as they are"
        elif self.need > len(self.signers) and not any(each.is_open for each in self.signers):
            yield ("need",), f"needs {self.need} different signers, and names {len(self.signers)}", ""


@mapping
class Rules:
    """The rules of a file."""

    default: Literal["accept", "reject"] = "accept"
    """What becomes of an image that no rule matches: `reject` makes it an error."""
    rules: tuple[Rule, ...] = ()
    """Rules about images, by patterns of their names."""

    def problems(self) -> Violations:
        known: dict[str, int] = {}
        for number, rule in enumerate(self.rules):
            for index, pattern in enumerate(rule.match):
                if (first := known.setdefault(pattern, number)) != number:
                    yield ("rules", number, "match", index), f"{pattern!r} is in rules[{first}] too", "join the rules"


class Match(NamedTuple):
    """A rule of a file that holds for a name. rule, pattern: their positions in the file and in the rule."""

    rule: int
    pattern: int
    text: str


class Ambiguous(Exception):
    """Two rules of a file match a name with equally long literal prefixes."""

    def __init__(self, first: Match, second: Match) -> None:
        super().__init__(f"{first.text!r} and {second.text!r}")
        self.first, self.second = first, second


def find(rules: Rules, name: str) -> Match | None:
    """Returns the rule that holds for `name`; None if none matches. Ambiguous.

    A name without wildcards goes before a pattern of the same prefix.
    """
    found: list[tuple[tuple[int, bool], Match]] = []
    for number, rule in enumerate(rules.rules):
        ranked = [
            (_rank(text), Match(number, index, text)) for index, text in enumerate(rule.match) if matches(text, name)
        ]
        found += [max(ranked, key=lambda item: item[0])] if ranked else []
    found.sort(key=lambda item: item[0], reverse=True)
    if len(found) > 1 and found[0][0] == found[1][0]:
        raise Ambiguous(found[0][1], found[1][1])
    return found[0][1] if found else None


def matches(pattern: str, text: str) -> bool:
    """Returns whether `pattern` matches `text` as a whole. Takes time in proportion to both lengths."""
    reached = {0}
    literals, wildcards = _WILDCARD.split(pattern), _WILDCARD.findall(pattern)
    for literal, wildcard in zip(literals, [*wildcards, ""], strict=True):
        reached = {at + len(literal) for at in reached if text.startswith(literal, at)}
        if wildcard and reached:
            reached = set(_beyond(reached, text, wildcard == "*"))
    return len(text) in reached


def _beyond(reached: set[int], text: str, in_component: bool) -> Iterator[int]:
    """Yields the positions that a wildcard leads to from those of `reached`."""
    is_on = False
    for at in range(min(reached), len(text) + 1):
        is_on = at in reached or (is_on and not (in_component and text[at - 1] == "/"))
        if is_on:
            yield at


def _rank(pattern: str) -> tuple[int, bool]:
    prefix = pattern.partition("*")[0]
    return len(prefix), prefix == pattern


def required(project: Rules, spec: Rules, name: str) -> list[tuple[Rules, Match]]:
    """Returns the rules that have to hold for `name`: of the project, and of the spec. Ambiguous."""
    found = ((rules, find(rules, name)) for rules in (project, spec))
    return [(rules, match) for rules, match in found if match is not None]


def is_rejected(project: Rules, spec: Rules, name: str) -> bool:
    """Returns whether a `default: reject` is about `name`. Ambiguous.

    The project's needs a rule of the project: a spec cannot let in what the project does not. The spec's is content
    with a rule of either.
    """
    if project.default == "reject" and find(project, name) is None:
        return True
    return spec.default == "reject" and not required(project, spec, name)


def different(signers: Iterable[Signer]) -> int:
    """Returns the number of different signers: those that share a key or an identity, also through others, are one."""
    groups: list[frozenset[tuple[str, str, str]]] = []
    for signer in signers:
        joined = [group for group in groups if group & signer.marks]
        groups = [group for group in groups if not group & signer.marks]
        groups.append(signer.marks.union(*joined))
    return len(groups)


def is_listed(image: Sequence[str], org: Sequence[str], names: Iterable[str]) -> bool:
    """Returns whether LinuxKit's lists name an image. names: its name, with and without tag and digest.

    image: images, in full; one without tag stands for all tags. org: organisations, the first part of a repository.
    """
    names = list(names)
    return not {*image}.isdisjoint(names) or any(_organisation(each) in org for each in names)


def _organisation(name: str) -> str:
    return name.partition("/")[2].partition("/")[0]


def _wrong_pattern(path: tuple[str | int, ...], pattern: str) -> Violations:
    yield from _wrong_wildcards(path, pattern)
    transport = next((each for each in TRANSPORTS if pattern.startswith(each)), "")
    first, slash, rest = pattern.removeprefix(transport).partition("/")
    if transport:
        if ":" in pattern.removeprefix(transport):
            yield path, f"{pattern!r} has a colon in the path", "a rule is about all images of a layout: leave out :REF"
        return
    if (slash and ":" in rest) or (not slash and ":" in first):
        name = pattern.rpartition(":")[0]
        yield path, f"{pattern!r} has a tag", f"a rule is about all tags and digests of a repository: {name}"
    elif "**" not in first and not (slash and _HOST.fullmatch(first)):
        full = f"docker.io/{pattern}" if slash else f"docker.io/library/{pattern}"
        yield path, f"{pattern!r} has no registry", f"a name is matched in full: {full}"
    elif pattern != pattern.lower():
        yield path, f"{pattern!r} has capitals, which names in registries do not have", pattern.lower()


def _wrong_wildcards(path: tuple[str | int, ...], pattern: str) -> Violations:
    if not pattern:
        yield path, "the pattern is empty", ""
    elif any(len(each) > 2 for each in _WILDCARD.findall(pattern)):
        yield path, f"{pattern!r} has more than two '*' in a row", "* within a path component, ** across them"
