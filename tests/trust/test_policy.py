"""Rules about signers: which one holds, what is wrong with them, and that a spec never loosens those of its project."""
# ruff: noqa: E501  # tables are read row by row

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language import document
from pipeline.language.problem import dotted
from pipeline.language.reader import Reader
from pipeline.language.schema import kind, violations
from pipeline.trust import policy
from pipeline.trust.policy import AllowedSigner, Ambiguous, Rule, Rules
from pipeline.trust.signer import Signer

KEY = AllowedSigner(cosign="a.pub")


def rules(*patterns: str | tuple[str, ...], default: str = "accept") -> Rules:
    """A file with a rule for each of `patterns`."""
    each = [(pattern,) if isinstance(pattern, str) else pattern for pattern in patterns]
    return Rules(default=default, rules=tuple(Rule(match=match, signers=(KEY,)) for match in each))


def problems(text: str) -> list[str]:
    """What is wrong with a file, each in a line."""
    node = document.parse(text.encode(), "trust.yml")
    assert node
    reader = Reader()
    value = reader.read(kind(Rules), node, ())
    assert not reader.problems
    return [f"{dotted(path)}: {message}" + f" ({hint})" * bool(hint) for path, message, hint in violations(value)]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("ghcr.io/acme/app", ["ghcr.io/acme/app"], ["ghcr.io/acme/app2", "xghcr.io/acme/app", "ghcr.io/acme"]),
        ("ghcr.io/acme/*", ["ghcr.io/acme/app"], ["ghcr.io/acme/a/b", "ghcr.io/acme", "ghcr.io/acmes/app"]),
        ("ghcr.io/acme/**", ["ghcr.io/acme/app", "ghcr.io/acme/a/b"], ["ghcr.io/acme", "ghcr.io/acmes/app"]),
        ("ghcr.io/*/app", ["ghcr.io/x/app"], ["ghcr.io/x/y/app", "ghcr.io/app"]),
        ("**/app-*", ["ghcr.io/x/app-1", "a/b/c/app-"], ["ghcr.io/x/app-1/y", "app-1"]),
        ("**", ["ghcr.io/x", "oci:layouts/x"], []),
        ("oci:layouts/*", ["oci:layouts/x"], ["oci:layouts/x/y", "oci:x"]),
        ("a.b/c", ["a.b/c"], ["aXb/c"]),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in (*yes, *no) if policy.matches(pattern, name)] == yes


@given(st.text("ab/*", max_size=8).filter(lambda text: "***" not in text), st.text("ab/\n", max_size=8))
def test_a_pattern_is_a_regular_expression_of_two_wildcards(pattern: str, text: str) -> None:
    parts = re.split(r"(\*\*|\*)", pattern)
    regex = "".join({"*": "[^/]*", "**": ".*"}.get(part, re.escape(part)) for part in parts)
    assert policy.matches(pattern, text) == (re.fullmatch(regex, text, re.DOTALL) is not None)


def test_many_wildcards_take_no_long_time() -> None:
    assert not policy.matches("**a" * 50 + "b", "a" * 5_000)


@pytest.mark.parametrize(
    ("patterns", "name", "holds"),
    [
        (["**", "ghcr.io/**", "ghcr.io/acme/**"], "ghcr.io/acme/app", 2),
        (["ghcr.io/acme/**", "ghcr.io/**"], "ghcr.io/other/app", 1),
        (["ghcr.io/acme/*", "ghcr.io/acme/app"], "ghcr.io/acme/app", 1),
        (["ghcr.io/acme/app*", "ghcr.io/acme/app"], "ghcr.io/acme/app", 1),
        ([("ghcr.io/**", "ghcr.io/acme/a*"), "ghcr.io/acme/**"], "ghcr.io/acme/app", 0),
        (["ghcr.io/acme/**"], "quay.io/acme/app", None),
    ],
)
def test_the_longest_literal_prefix_wins(patterns: list[str], name: str, holds: int | None) -> None:
    found = policy.find(rules(*patterns), name)
    assert (found and found.rule) == holds


def test_two_equal_ones_are_an_error() -> None:
    with pytest.raises(Ambiguous) as error:
        policy.find(rules("ghcr.io/acme/*", "ghcr.io/acme/**"), "ghcr.io/acme/app")
    assert {error.value.first.text, error.value.second.text} == {"ghcr.io/acme/*", "ghcr.io/acme/**"}
    assert policy.find(rules("ghcr.io/acme/*", "ghcr.io/acme/**", "ghcr.io/acme/app"), "ghcr.io/acme/app")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{match: [], signers: [{cosign: a}]}]", "rules[0].match: match is empty (name images: [ghcr.io/acme/**])"),
        ('rules: [{match: ["alpine"], signers: [{cosign: a}]}]',
         "rules[0].match[0]: 'alpine' has no registry (a name is matched in full: docker.io/library/alpine)"),
        ('rules: [{match: ["acme/*"], signers: [{cosign: a}]}]',
         "rules[0].match[0]: 'acme/*' has no registry (a name is matched in full: docker.io/acme/*)"),
        ('rules: [{match: ["ghcr.io/a/b:1"], signers: [{cosign: a}]}]',
         "rules[0].match[0]: 'ghcr.io/a/b:1' has a tag (a rule is about all tags and digests of a repository: ghcr.io/a/b)"),
        ('rules: [{match: ["oci:a:b"], signers: [{cosign: a}]}]',
         "rules[0].match[0]: 'oci:a:b' has a colon in the path (a rule is about all images of a layout: leave out :REF)"),
        ('rules: [{match: ["ghcr.io/A/b"], signers: [{cosign: a}]}]',
         "rules[0].match[0]: 'ghcr.io/A/b' has capitals, which names in registries do not have (ghcr.io/a/b)"),
        ('rules: [{match: ["ghcr.io/***"], signers: [{cosign: a}]}]',
         "rules[0].match[0]: 'ghcr.io/***' has more than two '*' in a row (* within a path component, ** across them)"),
        ('rules: [{match: ["ghcr.io/a", "ghcr.io/a"], signers: [{cosign: a}]}]',
         "rules[0].match[1]: 'ghcr.io/a' stands twice"),
        ('rules: [{match: ["ghcr.io/a"], signers: [{cosign: a}]}, {match: ["ghcr.io/a"], need: 0}]',
         "rules[1].match[0]: 'ghcr.io/a' is in rules[0] too (join the rules)"),
        ('rules: [{match: ["**"]}]',
         "rules[0]: names no signers (signers: [{cosign: trust/release.pub}]; need: 0 accepts images as they are)"),
        ('rules: [{match: ["**"], need: 0, signers: [{cosign: a}]}]',
         "rules[0].need: need: 0 accepts images without a signature, so signers have no meaning"),
        ('rules: [{match: ["**"], need: 2, signers: [{cosign: a}]}]',
         "rules[0].need: needs 2 different signers, and names 1"),
        ('rules: [{match: ["**"], signers: [{}]}]', "rules[0].signers[0]: needs exactly one of cosign, keyless and notation"),
        ('rules: [{match: ["**"], signers: [{cosign: a, notation: b, subject: c}]}]',
         "rules[0].signers[0]: needs exactly one of cosign, keyless and notation"),
        ('rules: [{match: ["**"], signers: [{cosign: a, root: b}]}]',
         "rules[0].signers[0].root: 'root' has no meaning beside cosign (it belongs to keyless)"),
        ('rules: [{match: ["**"], signers: [{notation: a}]}]',
         "rules[0].signers[0].notation: 'subject' is missing beside notation"),
        ('rules: [{match: ["**"], signers: [{notation: a, subject: "CN=b"}]}]',
         "rules[0].signers[0].subject: 'CN=b': C, ST, O missing: an identity names C, ST, O at least"),
        ('rules: [{match: ["**"], signers: [{keyless: {issuer: a, identity: b}}]}]',
         "rules[0].signers[0].keyless: 'root' is missing beside keyless"),
        ('rules: [{match: ["**"], signers: [{root: r, keyless: {issuer: a}}]}]',
         "rules[0].signers[0].keyless: needs exactly one of identity and identity-pattern"),
        ('rules: [{match: ["**"], signers: [{root: r, keyless: {issuer: a, identity: "*"}}]}]',
         "rules[0].signers[0].keyless.identity: an identity is literal, and has a '*' (identity-pattern: takes wildcards)"),
        ('rules: [{match: ["**"], signers: [{root: r, keyless: {issuer: "", identity-pattern: ""}}]}]',
         "rules[0].signers[0].keyless.issuer: the issuer is empty"),
    ],
)  # fmt: skip
def test_a_mistake_has_a_place_and_a_remedy(text: str, message: str) -> None:
    assert problems(text)[0] == message


@pytest.mark.parametrize(
    "text",
    [
        'rules: [{match: ["**"], need: 0}]',
        'rules: [{match: ["127.0.0.1:5000/a/*", "localhost/a", "oci:a/B", "*.io/a"], signers: [{cosign: a}]}]',
        'rules: [{match: ["**"], need: 9, signers: [{root: r, keyless: {issuer: i, identity-pattern: "https://x/*@y"}}]}]',
        'default: reject\nrules: [{match: ["**"], signers: [{notation: trust/acme, subject: "CN=a,O=b,ST=c,C=d"}]}]',
    ],
)
def test_what_is_right_has_no_problem(text: str) -> None:
    assert problems(text) == []


def test_identities_are_literal_and_patterns_match_as_a_whole() -> None:
    literal = policy.Keyless(issuer="i", identity="https://x/a.b@refs/tags/v1")
    assert literal.accepts("https://x/a.b@refs/tags/v1") and not literal.accepts("https://x/aXb@refs/tags/v1")
    pattern = policy.Keyless(issuer="i", identity_pattern="https://x/*/release.yml@refs/tags/*")
    assert pattern.accepts("https://x/app/release.yml@refs/tags/v1")
    for other in ("https://x/app/release.yml@refs/tags/v1/x", "evil https://x/app/release.yml@refs/tags/v1",
                  "https://x/a/b/release.yml@refs/tags/v1"):  # fmt: skip
        assert not pattern.accepts(other)


def test_one_key_and_one_identity_count_once() -> None:
    key, other = Signer("key", "sha256:a"), Signer("key", "sha256:b")
    keyless = Signer("certificate", "me@x", "https://issuer", 1, "log", 7)
    assert policy.different([key, key]) == 1 and policy.different([key, other]) == 2
    assert policy.different([keyless, keyless._replace(time=2, log_index=8), key]) == 2
    assert policy.different([keyless, keyless._replace(issuer="https://other")]) == 2 and policy.different([]) == 0


def test_a_key_in_a_certificate_is_that_key() -> None:
    key, other = Signer("key", "sha256:a"), Signer("key", "sha256:b")
    certificate = Signer("certificate", "CN=x", key="sha256:a")
    assert policy.different([key, certificate]) == 1 and policy.different([certificate, other]) == 2
    renamed, renewed = certificate._replace(identity="CN=y"), certificate._replace(key="sha256:b")
    assert policy.different([certificate, renamed]) == 1 and policy.different([certificate, renewed]) == 1
    assert policy.different([key, other, renewed]) == 2 and policy.different([key, other, certificate, renewed]) == 1


def test_linuxkits_lists_name_images_with_and_without_tag() -> None:
    names = ("docker.io/library/nginx:1.27", "docker.io/library/nginx")
    assert policy.is_listed(["docker.io/library/nginx:1.27"], [], names)
    assert policy.is_listed(["docker.io/library/nginx"], [], names) and policy.is_listed([], ["library"], names)
    assert not policy.is_listed(["docker.io/library/nginx:1.26"], ["linuxkit", "docker.io"], names)


NAMES = ("a.io/x", "a.io/y", "a.io/x/z", "b.io/x", "oci:x")
files = st.lists(
    st.sampled_from(["**", "a.io/**", "a.io/*", "a.io/x", "*.io/x", "oci:*"]), unique=True, max_size=4
).flatmap(lambda patterns: st.sampled_from(["accept", "reject"]).map(lambda default: rules(*patterns, default=default)))


@given(project=files, spec=files, name=st.sampled_from(NAMES))
def test_a_spec_adds_and_never_loosens(project: Rules, spec: Rules, name: str) -> None:
    try:
        alone = policy.is_rejected(project, Rules(), name)
        both = policy.is_rejected(project, spec, name)
        of_project, of_spec = policy.find(project, name), policy.find(spec, name)
    except Ambiguous:
        return
    assert both or not alone, "a spec let in what its project rejects"
    assert policy.required(project, spec, name) == [
        each for each in ((project, of_project), (spec, of_spec)) if each[1] is not None
    ], "the project's rule holds whatever the spec has"
    assert policy.is_rejected(Rules(), spec, name) or not (both and not alone)
