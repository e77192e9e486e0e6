"""Packages and their files out of dpkg's and apk's databases."""

from __future__ import annotations

from pipeline.packages.installed import Installed, distribution, installed

DPKG = {
    "var/lib/dpkg/status": (
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-1)\nVersion: 2.36-2\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
        "Package: base\nStatus: install ok installed\nArchitecture: all\nVersion: 12\nDescription: x\n Package: no\n"
    ),
    "var/lib/dpkg/info/libc6:amd64.list": "/.\n/lib\n/lib/libc.so.6\n",
    "var/lib/dpkg/info/base.list": "/.\n/etc/issue\n",
}


def found(files: dict[str, str]) -> list[Installed]:
    return list(installed(files.get, files))


def test_dpkg() -> None:
    assert found(DPKG) == [
        Installed("deb", "libc6", "2.36-2", "amd64", "glibc", "2.36-1", ("lib", "lib/libc.so.6")),
        Installed("deb", "base", "12", "all", "base", "12", ("etc/issue",)),
    ]


def test_an_image_without_dpkg() -> None:
    files = {
        "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nArchitecture: all\nVersion: 2024a\n",
        "var/lib/dpkg/status.d/tzdata.md5sums": "0f0f  usr/share/zoneinfo/UTC\nabab  ./etc/x\n",
    }
    assert found(files) == [
        Installed("deb", "tzdata", "2024a", "all", "tzdata", "2024a", ("usr/share/zoneinfo/UTC", "etc/x"))
    ]


def test_apk() -> None:
    text = "C:Q1x\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nF:\nR:top\n\nP:half\n"
    paths = ("lib", "lib/ld-musl-x86_64.so.1", "top")
    assert found({"lib/apk/db/installed": text}) == [
        Installed("apk", "musl", "1.2.5-r0", "x86_64", "musl", "1.2.5-r0", paths)
    ]


def test_the_distribution() -> None:
    assert distribution({"etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'}.get) == (
        "debian",
        "bookworm",
    )
    assert distribution({"usr/lib/os-release": "ID='alpine'\nVERSION_ID=3.20.1\n"}.get) == ("alpine", "3.20.1")
    assert distribution({}.get) == ("", "")
