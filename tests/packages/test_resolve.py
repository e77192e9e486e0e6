"""Resolution of names to packages: exact cases, and apt as the judge of small universes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.packages.error import PackageError
from pipeline.packages.resolve import choose
from pipeline.packages.universe import Index
from tests.packages.indexes import index
from tests.packages.judge import Apt

LONG = 1500
"""Number of dependencies in a chain, more than Python follows by default."""


def names(indexes: list[Index], *packages: str, dependencies: object = True) -> list[str]:
    return [f"{each.name}={each.version}" for each in choose(indexes, "amd64", packages, dependencies)]  # type: ignore[arg-type]


def fault(indexes: list[Index], *packages: str) -> list[str]:
    with pytest.raises(PackageError) as error:
        choose(indexes, "amd64", packages)
    return str(error.value).splitlines()


SMALL = index(
    "libc 1.0 Essential: yes",
    "libtool 1.0 Depends: libc (>= 1.0)",
    "tool 2:1.5+b1~x Pre-Depends: libtool; Recommends: extra",
    "must-have 1.0 Essential: yes",
    "either 1.0 Depends: gone | libc",
)


def test_dependencies_come_along_and_nothing_else() -> None:
    assert names([SMALL], "tool") == ["libc=1.0", "libtool=1.0", "tool=2:1.5+b1~x"]
    assert names([SMALL], "either") == ["either=1.0", "libc=1.0"]
    assert names([SMALL], "tool", dependencies=False) == ["tool=2:1.5+b1~x"]
    assert names([SMALL], "tool", dependencies=["lib*", "!libc"]) == ["libtool=1.0", "tool=2:1.5+b1~x"]
    assert names([SMALL]) == []


def test_the_highest_version_of_the_highest_priority_wins() -> None:
    old, new = index("a 1.0"), index("a 1.10", suite="stable-security")
    backports = index("a 2.0", "b 2.0 Depends: a (>= 2)", suite="stable-backports", priority=100)
    assert names([old, new, backports], "a") == names([backports, new, old], "a") == ["a=1.10"]
    assert names([old, new, backports], "a=2.0") == ["a=2.0"]
    assert names([old, new, backports], "b", "a=2.0") == ["a=2.0", "b=2.0"]
    assert fault([old, backports], "b") == [
        "b needs a (>= 2), of which there is only a 2.0 (stable-backports), a 1.0 (stable)"
    ]


def test_the_shortest_codename_of_several_suites_is_recorded() -> None:
    suites = [index("a 1.0", suite=suite, archive=suite) for suite in ("stable-security", "stable", "stable-updates")]
    [package] = choose(suites, "amd64", ["a"])
    assert (package.suite, package.archive, package.filename) == ("stable", "stable", "pool/main/a_1.0_amd64.deb")


def test_only_the_own_architecture_and_all_count() -> None:
    both = [index("a 1 Depends: b:any, c:native", "c 1"), index("b 1 Multi-Arch: allowed", architecture="all")]
    foreign = index("a 9", "b 9", "c 9", architecture="arm64")
    assert names([*both, foreign], "a") == ["a=1", "b=1", "c=1"]


def test_virtual_packages() -> None:
    mail = index(
        "exim 1 Provides: mail; Conflicts: mail",
        "postfix 1 Provides: mail (= 2); Conflicts: mail",
        "cron 1 Depends: mail (>= 2)",
        "at 1 Depends: mail",
        "sole 1 Provides: only",
    )
    assert names([mail], "cron") == ["cron=1", "postfix=1"]
    assert names([mail], "at") == ["at=1", "postfix=1"]  # of equals, the one that the index names last
    assert names([mail], "at", "exim") == ["at=1", "exim=1"]
    assert names([mail], "only") == ["sole=1"]
    assert fault([mail], "mail") == ["mail is a virtual package: name one that provides it (exim, postfix)"]
    assert fault([mail], "exim", "cron") == [
        "cron needs mail (>= 2), and postfix, which provides it, conflicts with exim 1",
    ]


def test_faults_are_named_with_their_chain() -> None:
    broken = index(
        "sshd 1 Depends: libc, libssl (>= 3.0) | libtls",
        "libssl 3.1 Depends: libcrypt (>= 4)",
        "libcrypt 3",
        "libc 1",
        "lone 1 Depends: gone | lost",
        "rival 1 Breaks: libc (<< 2)",
    )
    assert fault([broken], "sshd") == [
        "sshd needs libssl (>= 3.0) | libtls, which needs libcrypt (>= 4), of which there is only libcrypt 3 (stable)"
    ]
    assert fault([broken], "lone") == ["lone needs gone | lost, which is in no index"]
    assert fault([broken], "rival", "libc") == ["rival conflicts with libc 1", "libc conflicts with rival 1"]
    assert fault([broken], "libss", "sshd=2", "libc=7") == [
        "no package libss for amd64 in main of stable (did you mean 'libssl'?)",
        "no version 2 of sshd (there is 1)",
        "no version 7 of libc (there is 1)",
    ]


@pytest.mark.parametrize("field", ["Depends: a (", "Depends: a b", "Breaks: a (~ 1)", "Provides: (= 1)"])
def test_a_malformed_relation_is_named(field: str) -> None:
    [line] = fault([index("a 1", f"wrong 1 {field}")], "wrong")
    assert line.startswith(f"{field.partition(':')[0]} of wrong 1: not a relation to a package: ")


def test_an_incomplete_record_is_named() -> None:
    assert fault([index("a 1 Size: much")], "a") == ["the record of a 1 in stable has no Filename, Size or SHA256"]


def test_long_chains_are_followed() -> None:
    chain = index(*(f"p{n} 1 Depends: p{n + 1}" for n in range(LONG)), f"p{LONG} 1")
    assert len(names([chain], "p0")) == LONG + 1


NAMES = ("a", "b", "c", "d", "e", "f")
VIRTUAL = (*NAMES, "v", "w")
VERSIONS = ("1", "2", "3")
RELATIONS = st.builds(
    lambda name, operator, version: f"{name} ({operator} {version})" if operator else name,
    st.sampled_from(VIRTUAL),
    st.sampled_from(["", "", "", "<<", "=", ">="]),
    st.sampled_from(VERSIONS),
)
CLAUSES = st.lists(RELATIONS, min_size=1, max_size=2).map(" | ".join)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "Pre-Depends": CLAUSES,
        "Depends": st.lists(CLAUSES, min_size=1, max_size=3).map(", ".join),
        "Conflicts": RELATIONS,
        "Breaks": RELATIONS,
        "Provides": st.sampled_from(["v", "w", "v (= 2)", "w (= 1), v"]),
        "Priority": st.sampled_from(["required", "extra"]),
        "Essential": st.just("yes"),
        "Multi-Arch": st.sampled_from(["allowed", "foreign", "same"]),
    },
).map(lambda fields: "; ".join(f"{key}: {value}" for key, value in fields.items()))
RECORDS = st.lists(
    st.builds("{} {} {}".format, st.sampled_from(NAMES), st.sampled_from(VERSIONS), FIELDS).map(str.strip),
    min_size=3,
    max_size=9,
    unique_by=lambda record: tuple(record.split(" ")[:2]),
)
INDEXES = st.lists(st.tuples(RECORDS, st.sampled_from([500, 500, 100])), min_size=1, max_size=2)


@settings(max_examples=30, deadline=None, print_blob=True)
@given(records=INDEXES, requests=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
def test_apt_chooses_the_same(records: list[tuple[list[str], int]], requests: list[str]) -> None:
    indexes = [index(*each, suite=f"s{n}", priority=p) for n, (each, p) in enumerate(records)]
    with tempfile.TemporaryDirectory() as folder:
        apt = Apt(Path(folder), indexes, "amd64")
        try:
            ours = {(each.name, each.version) for each in choose(indexes, "amd64", requests)}
        except PackageError:
            assert apt.install(*requests) is None or apt.repairs(*requests)
        else:
            assert ours == apt.install(*requests)
