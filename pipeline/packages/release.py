"""A Release file: the signed list of a suite's indexes (Debian's repository format, "Release" files).

https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.packages.error import PackageError

PRIORITY, UPGRADES_PRIORITY, MANUAL_PRIORITY = 500, 100, 1
"""apt_preferences(5): of a suite, of one with NotAutomatic and ButAutomaticUpgrades, and with NotAutomatic alone."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Entry(NamedTuple):
    """A file of a suite: its path below dists/SUITE/, its size in bytes and its SHA-256."""

    path: str
    size: int
    sha256: str

    @property
    def by_hash(self) -> str:
        """Its path by hash, where it stays while newer ones replace it."""
        return f"{self.path.rpartition('/')[0]}/by-hash/SHA256/{self.sha256}".lstrip("/")


class Release(NamedTuple):
    """The fields of a Release file. names: Suite and Codename. files: path -> entry."""

    names: tuple[str, ...]
    date: datetime.datetime
    valid_until: datetime.datetime | None
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    has_by_hash: bool
    separate_all: bool
    """Packages of the architecture `all` are in an index of their own only."""
    priority: int
    files: Mapping[str, Entry]

    @property
    def iso_date(self) -> str:
        return self.date.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: bytes) -> Release:
    """Returns the Release file with this (verified) text. PackageError."""
    fields = _fields(text.decode("utf-8", "replace"))
    automatic = fields.get("notautomatic", "").lower() != "yes"
    upgrades = fields.get("butautomaticupgrades", "").lower() == "yes"
    architectures = tuple(fields.get("architectures", "").split())
    return Release(
        tuple(filter(None, (fields.get("suite"), fields.get("codename")))),
        _date(fields, "Date"),
        _date(fields, "Valid-Until") if "valid-until" in fields else None,
        tuple(each.rpartition("/")[2] for each in fields.get("components", "").split()),
        architectures,
        fields.get("acquire-by-hash", "").lower() == "yes",
        "all" in architectures and "Packages" not in fields.get("no-support-for-architecture-all", "").split(),
        PRIORITY if automatic else UPGRADES_PRIORITY if upgrades else MANUAL_PRIORITY,
        {entry.path: entry for entry in _entries(fields.get("sha256", ""))},
    )


def _fields(text: str) -> dict[str, str]:
    """Returns the fields by name in lower case; further lines of a field follow its first."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            fields[name] = f"{fields.get(name, '')}\n{line}"
        else:
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = value.strip()
    return {name: value if "\n" in value else value.strip() for name, value in fields.items()}


def _entries(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not _SHA256.fullmatch(words[0]) or not (words[1].isascii() and words[1].isdigit()):
            raise PackageError(f"malformed: {line.strip()[:80]!a} is not a SHA-256, a size and a path")
        yield Entry(words[2], int(words[1]), words[0])


def _date(fields: Mapping[str, str], name: str) -> datetime.datetime:
    text = fields.get(name.lower(), "")
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        raise PackageError(f"malformed: its {name} is {text[:40]!a}") from None
    return date.replace(tzinfo=date.tzinfo or datetime.UTC).astimezone(datetime.UTC)
