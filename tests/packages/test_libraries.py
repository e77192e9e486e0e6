"""Libraries among chosen packages: reached through libraries alone."""

from __future__ import annotations

import pytest

from pipeline.packages.libraries import with_libraries


def record(name: str, section: str = "libs", depends: str = "", **more: str) -> dict[str, str]:
    return {"package": name, "section": section, "depends": depends, **more}


RECORDS = [
    record("tool", "net", "liba1 (>= 1.0) | other, debconf (>= 0.5)", **{"pre-depends": "init (>= 1)"}),
    record("liba1", depends="libb2t64, libvirtual"),
    record("libb2t64", "misc"),
    record("libc3", "contrib/libs", provides="libvirtual (= 3), libmore"),
    record("debconf", "admin", "libperl5"),
    record("libperl5"),
    record("init", "admin"),
    record("libm4"),
]


@pytest.mark.parametrize(
    ("names", "result"),
    [
        (["tool"], {"tool", "liba1", "libb2t64", "libc3"}),
        (["tool", "debconf"], {"tool", "debconf", "liba1", "libb2t64", "libc3", "libperl5"}),
        (["libm4"], {"libm4"}),
        ([], set()),
    ],
)
def test_libraries_are_reached_through_libraries(names: list[str], result: set[str]) -> None:
    assert with_libraries(names, RECORDS) == result
