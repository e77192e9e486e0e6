"""Resolution of names to packages: exact cases, and apt as the judge of small universes."""

from __future__ import annotations

import pytest

from pipeline.packages.error import PackageError
from pipeline.packages.resolve import choose
from pipeline.packages.universe import Index
from tests.packages.indexes import index


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
