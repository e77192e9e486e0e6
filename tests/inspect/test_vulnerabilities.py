"""The vulnerabilities of a node: its source packages, compared in their own release."""

from __future__ import annotations

import pytest

from pipeline.inspect.advisories import Advisory
from pipeline.inspect.vulnerabilities import Accepted, Report, accepted, report
from pipeline.model.errors import BadInput
from pipeline.model.origins import MADE, Origin
from pipeline.stages.inventory import Inventory, Part

LIBC = Origin("deb", "libc6", "2.36-9+deb12u3", "amd64", distribution="debian", release="bookworm", source="glibc",
              source_version="2.36-9+deb12u3")  # fmt: skip
LINUX = LIBC._replace(
    name="linux-image-6.1.0-56", version="6.1.190-1", source="linux-signed-amd64", source_version="6.1.190+1"
)
MUSL = Origin("apk", "musl", "1.2.5-r0", "x86_64", distribution="alpine", release="3.20.1", source="musl")
FIXED = Advisory("CVE-1-1", "debian", "bookworm", "glibc", "high", fixed="2.36-9+deb12u4")


def found(*advisories: Advisory, accept: str = "", parts: tuple[Origin, ...] = (LIBC, MADE)) -> Report:
    rows = tuple(Part(origin, (), (), False) for origin in parts)
    words = [word for word in accept.split(",") if word]
    return report("node", Inventory("node", "amd64", 0, rows, ()), advisories, accepted(words))


def test_a_package_that_is_older_than_the_fix() -> None:
    (one,) = found(FIXED, FIXED._replace(release="trixie"), FIXED._replace(source="other")).vulnerabilities
    assert str(one) == "high        CVE-1-1  glibc 2.36-9+deb12u3 (fixed in 2.36-9+deb12u4): libc6"
    assert found(FIXED._replace(fixed="2.36-9+deb12u3")).vulnerabilities == ()


def test_all_packages_of_a_source_are_one_vulnerability() -> None:
    (one,) = found(FIXED._replace(fixed=""), parts=(LIBC, LIBC._replace(name="libc-bin"))).vulnerabilities
    assert one.packages == ("libc-bin", "libc6") and "(no fix)" in str(one)


def test_a_release_by_its_number_and_the_worst_of_two_databases() -> None:
    (one,) = found(FIXED, FIXED._replace(release="12", severity="critical")).vulnerabilities
    assert one.severity == "critical"


def test_a_signed_kernel_is_the_kernel() -> None:
    linux = FIXED._replace(source="linux", fixed="6.1.190-1")
    assert found(linux, parts=(LINUX,)).vulnerabilities == ()
    (one,) = found(linux._replace(fixed="6.1.192-1"), parts=(LINUX,)).vulnerabilities
    assert (one.source, one.version) == ("linux", "6.1.190-1")


def test_thresholds() -> None:
    names = ("unknown", "unimportant", "low", "medium", "high", "critical")
    result = found(*(FIXED._replace(name=f"CVE-1-{name}", severity=name) for name in names))
    assert [each.severity for each in result.vulnerabilities] == [*reversed(names)]
    assert [len(result.counted(name)) for name in names] == [6, 5, 4, 3, 2, 1]


def test_accepted_ones_are_shown_and_do_not_count() -> None:
    result = found(FIXED, accept="CVE-1-1@glibc:vulnerable_code_not_present,CVE-9-9")
    assert result.counted("unknown") == [] and "accepted: vulnerable_code_not_present" in str(result.vulnerabilities[0])
    assert result.unused == (Accepted("CVE-9-9"),)
    assert found(FIXED, accept="CVE-1-1@openssl").counted("low")


@pytest.mark.parametrize("word", ["CVE 1", "CVE-1-1@", "CVE-1-1:because", "@glibc", "CVE-1-1@glibc@x"])
def test_a_word_that_accepts_nothing_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match="--accept: "):
        accepted([word])


def test_what_a_database_is_not_about_is_named() -> None:
    assert found(FIXED, parts=(LIBC, MUSL)).unexamined == ("musl (alpine 3.20.1)",)
    with pytest.raises(BadInput, match="nothing about debian bookworm"):
        found(FIXED._replace(release="trixie"))
    assert found(parts=(MADE,)).vulnerabilities == ()


def test_packages_of_alpine_by_their_own_order() -> None:
    """OSV's ecosystem is `Alpine:v3.20`; 1.2.5-r10 is newer than 1.2.5-r9, and 1.2.5_rc1 is older than 1.2.5."""
    musl = MUSL._replace(version="1.2.5-r9", source_version="1.2.5-r9")
    fixed = Advisory("CVE-2-1", "alpine", "v3.20", "musl", "medium", introduced="0", fixed="1.2.5-r10")
    (one,) = found(fixed, parts=(musl,)).vulnerabilities
    assert str(one).startswith("medium      CVE-2-1  musl 1.2.5-r9 (fixed in 1.2.5-r10): musl")
    newer = musl._replace(source_version="1.2.5-r10")
    assert found(fixed, parts=(newer,)).vulnerabilities == ()
    assert found(fixed._replace(fixed="1.2.5_rc1-r0"), parts=(musl,)).vulnerabilities == ()
    assert found(fixed, FIXED, parts=(musl, LIBC)).unexamined == ()
